"""`jepa-bridge replay LOG`: what happened, and whether the same code and model would do it again."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import click

from jepa_bridge.errors import BridgeError, Exit

if TYPE_CHECKING:
    from jepa_bridge.drive.replay import ReplayReport


@click.command("replay")
@click.argument("log", type=click.Path())
@click.option("--check", is_flag=True, help=f"Exit {int(Exit.CHECK_FAILED)} unless every command comes out the same.")
@click.option("--model", metavar="NAME|DIR", help="Another bundle than the one that drove: where would it differ?")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(log: str, *, check: bool, model: str | None, as_json: bool) -> int:
    """Feed LOG, which a drive has written, through the same code, offline.

    \b
    jepa-bridge replay --check logs/RUN.mcap           same model, same commands, bit for bit?
    jepa-bridge replay --model runs/new logs/RUN.mcap  where would another model decide otherwise?
    """
    from pathlib import Path

    from jepa_bridge.drive.replay import Replay, RunSettings
    from jepa_bridge.record import read_log
    from jepa_bridge.world.bundle import load_named

    recording = read_log(Path(log))
    settings = RunSettings.read(recording.metadata.get("run", {}))
    world = load_named(model or settings.model)
    if model is None and world.hash != settings.model_hash:
        raise BridgeError(
            "replay-model-differs",
            f"the log was driven with model {settings.model} of hash {settings.model_hash[:16]}, "
            f"but {settings.model} here has hash {world.hash[:16]}",
            "name the bundle to compare with: --model DIR",
            status=Exit.MODEL,
        )
    report = Replay(recording, world, settings).run()
    if as_json:
        value = dataclasses.asdict(report)
        click.echo(json.dumps({**value, "same": report.same, "torn": recording.torn}))
    else:
        show(report, torn=recording.torn)
    return Exit.CHECK_FAILED if check and not report.same else Exit.OK


def show(report: ReplayReport, *, torn: bool) -> None:
    """The report for people."""
    click.echo(
        f"{report.duration_s:.1f} s, {report.observations} observations, {report.plans} plans, "
        f"{report.commands} commands, {report.distance_m:.2f} m, {report.contacts} contacts, "
        f"{report.goals_reached} of {report.goals} goals reached"
    )
    sources = ", ".join(f"{name} {count}" for name, count in report.sources.items())
    click.echo(f"commands by source: {sources or 'none'}")
    if torn:
        click.echo("the log's end is torn (the recording process was killed); what is there was replayed")
    for what in report.missing:
        click.echo(f"missing: {what}")
    if report.same:
        click.echo(
            f"same: all {report.commands} commands equal bit for bit, {report.wire_compared} frames on the wire agree"
        )
    elif report.commands:
        mean = report.difference_sum / max(1, report.different)
        click.echo(
            f"different: {report.different} of {report.commands} commands, "
            f"by {mean:.3f} of full speed on average where they differ; first: {json.dumps(report.first_difference)}"
        )
