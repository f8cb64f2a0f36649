"""`jepa-bridge log`: look into, repair and export recordings."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from jepa_bridge.record import RecoverySummary, ShardSummary


@click.group("log")
def command() -> None:
    """Look into, repair and export recordings."""


@command.command("info")
@click.argument("log", type=click.Path())
@click.option("--json", "as_json", is_flag=True)
def info(log: str, *, as_json: bool) -> None:
    """What LOG holds: robot, model, goals, frames, losses."""
    from jepa_bridge.record import read_log, summarise

    summary = summarise(read_log(Path(log)))
    value = {**dataclasses.asdict(summary), "path": str(summary.path)}
    if as_json:
        click.echo(json.dumps(value))
        return
    counts = value.pop("counts")
    for name, item in value.items():
        click.echo(f"{name:20} {item if item not in ('', None) else '-'}")
    click.echo("messages")
    for channel, count in counts.items():
        click.echo(f"  {channel:18} {count}")


@command.command("recover")
@click.argument("log", type=click.Path())
@click.option("--out", type=click.Path(dir_okay=False), required=True, help="The new, complete file.")
@click.option("--json", "as_json", is_flag=True)
def recover_log(log: str, *, out: str, as_json: bool) -> None:
    """Write a complete, indexed copy of a torn LOG; LOG itself stays as it is."""
    from jepa_bridge.record import recover

    summary = recover(Path(log), Path(out))
    _show(summary, as_json=as_json)


@command.command("export")
@click.argument("log", type=click.Path())
@click.option("--out", type=click.Path(dir_okay=False), required=True, help="The shard (.npz).")
@click.option("--json", "as_json", is_flag=True)
def export_log(log: str, *, out: str, as_json: bool) -> None:
    """Make LOG's driving into a training shard of 0.2 s steps."""
    from jepa_bridge.drive.observe import observation_from
    from jepa_bridge.record import export_shard, read_log

    summary = export_shard(read_log(Path(log)), Path(out), observation_from)
    _show(summary, as_json=as_json)


def _show(summary: RecoverySummary | ShardSummary, *, as_json: bool) -> None:
    """One field a line, or JSON."""
    value = {name: str(item) if isinstance(item, Path) else item for name, item in dataclasses.asdict(summary).items()}
    click.echo(json.dumps(value) if as_json else "\n".join(f"{name:20} {item}" for name, item in value.items()))
