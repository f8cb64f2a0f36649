"""`jepa-bridge bench`: measure this machine; every figure in the documents comes from here."""

from __future__ import annotations

import json
from typing import Any

import click

from jepa_bridge.cli import bench_faults

DRIVE_COLUMNS = {
    "seed": "seed",
    "reached": "goal",
    "first_movement_s": "moves s",
    "duration_s": "took s",
    "distance_m": "drove m",
    "contacts": "hits",
    "plan_ms": "plan ms",
    "gated": "gated",
    "replay_same": "same",
}


@click.group("bench")
def command() -> None:
    """Measure link, firmware and driving on this machine."""


@command.command("link")
@click.option("--port", default="sim://open?seed=1", show_default=True, help="A real robot on blocks: its wheels turn.")
@click.option("--delay-seconds", type=click.FloatRange(min=1.0), default=20.0, show_default=True)
@click.option("--loss-seconds", type=click.FloatRange(min=1.0), default=60.0, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def link(*, port: str, delay_seconds: float, loss_seconds: float, as_json: bool) -> None:
    """Decode rate; SENSOR in to CMD out over a pty with the real firmware; frames lost at 50 Hz."""
    import dataclasses

    from jepa_bridge.link.bench import decode_rate, delay, loss

    values = {
        "decode": dataclasses.asdict(decode_rate()),
        "delay": dataclasses.asdict(delay(delay_seconds, port)),
        "loss": dataclasses.asdict(loss(loss_seconds, port)),
    }
    if as_json:
        click.echo(json.dumps(values))
    else:
        for name, value in values.items():
            click.echo(f"{name}: {', '.join(f'{key} {item}' for key, item in value.items())}")


@command.command("firmware")
@click.option("--json", "as_json", is_flag=True)
def firmware(*, as_json: bool) -> None:
    """Encode and frame time of a SENSOR frame on MicroPython, beside two plainer encoders; heap per packet."""
    import subprocess

    from jepa_bridge.cli.extras import needs
    from jepa_bridge.resources import shipped

    with needs("sim"):
        from jepa_bridge.twin import firmware as process

        folder = shipped("firmware")
        arguments = [*process.command("micropython"), "bench_encode.py", *(["--json"] if as_json else [])]
        subprocess.run(arguments, cwd=folder, check=True)


@command.command("drive")
@click.option("--seeds", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--arena", default="open", show_default=True)
@click.option("--goal", default="4,4", show_default=True)
@click.option("--model", default="small", show_default=True)
@click.option("--speed", type=click.FloatRange(0.1, 10.0), default=1.0, show_default=True, help="Of the twin.")
@click.option("--json", "as_json", is_flag=True)
def drive(*, seeds: int, arena: str, goal: str, model: str, speed: float, as_json: bool) -> None:
    """The whole program, seed after seed: goals reached, time to the first movement, exact replays."""
    from jepa_bridge.cli.extras import needs
    from jepa_bridge.cli.progress import progress

    with needs("sim"):
        from jepa_bridge.drive.bench import bench_drive

        with progress("bench drive", quiet=as_json) as show:
            result = bench_drive(seeds, arena=arena, goal=goal, model=model, speed=speed, progress=show)
    if as_json:
        click.echo(json.dumps(result))
    else:
        show_drive(result)


def show_drive(result: dict[str, Any]) -> None:
    """The table for people."""
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"sim://{result['arena']} to {result['goal']} with {result['model']}, speed {result['speed']:g}"
    )
    for heading in DRIVE_COLUMNS.values():
        table.add_column(heading, justify="right")
    for trial in result["trials"]:
        table.add_row(*("-" if trial[name] is None else str(trial[name]) for name in DRIVE_COLUMNS))
    Console().print(table)
    click.echo(
        f"reached {result['reached']} of {result['runs']}, first movement within {result['first_movement_s_max']} s, "
        f"{result['replays_same']} replays the same"
    )


command.add_command(bench_faults.faults)
command.add_command(bench_faults.soak)
