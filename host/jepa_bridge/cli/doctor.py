"""`jepa-bridge doctor`: what keeps the robot from driving, and what to do about it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from jepa_bridge.cli.settings import ERROR
from jepa_bridge.errors import BridgeError, Exit

if TYPE_CHECKING:
    from jepa_bridge.setup.doctor.finding import Finding

COLOURS = {"ok": "green", "note": "blue", "warning": "yellow", "problem": "red"}


@click.command("doctor")
@click.option("--port", metavar="PORT", help="As for driving.  [default: the only adapter on USB]")
@click.option("--model", metavar="NAME|DIR", help="Whose plans are timed.  [default: as for driving]")
@click.option("--seconds", type=click.FloatRange(0.2, 600.0), default=3.0, show_default=True, help="Of listening.")
@click.option("--fix", is_flag=True, help="Mend what is safe to mend; the rest is told as a command.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@click.pass_context
def command(ctx: click.Context, port: str | None, model: str | None, seconds: float, fix: bool, as_json: bool) -> int:
    """Look for what keeps the robot from driving, and say what to do.

    Each finding has a code that stays the same, a sentence, and a command. The robot is listened to and never armed.
    The exit status is 21 if there is a problem that --fix did not mend.

    \b
    jepa-bridge doctor
    jepa-bridge doctor --port sim://open
    jepa-bridge doctor --fix
    jepa-bridge doctor --json | jq '.findings[] | select(.level == "problem")'
    """
    from jepa_bridge.setup.doctor.examine import examine, mend
    from jepa_bridge.setup.doctor.finding import Finding, Level, Target
    from jepa_bridge.setup.doctor.system import System

    drive = ctx.find_root().params
    target = Target(
        port or drive["port"], drive["baud"], model or drive["model"], drive["log_dir"], seconds
    )  # fmt: skip
    rows: list[dict[str, object]] = []
    failed = False
    wrong_settings: BridgeError | None = ctx.meta.get(ERROR)
    if wrong_settings is not None:
        failed = True
        told_why = Finding(wrong_settings.code, Level.PROBLEM, wrong_settings.message, wrong_settings.hint)
        rows.append({**_row(told_why), "mended": False})
        _say(rows[-1], "", quiet=as_json)
    for finding in examine(System(), target):
        mended, told = mend(finding) if fix and finding.level in (Level.WARNING, Level.PROBLEM) else (False, "")
        failed |= finding.level is Level.PROBLEM and not mended
        rows.append({**_row(finding), "mended": mended})
        _say(rows[-1], told, quiet=as_json)
    if as_json:
        click.echo(json.dumps({"healthy": not failed, "findings": rows}))
    elif not failed:
        click.echo("nothing keeps it from driving")
    return Exit.UNHEALTHY if failed else Exit.OK


def _row(finding: Finding) -> dict[str, object]:
    return {
        "code": finding.code, "level": str(finding.level), "sentence": finding.sentence, "do": finding.do,
        "fixable": finding.fix is not None,
    }  # fmt: skip


def _say(row: dict[str, object], told: str, *, quiet: bool) -> None:
    if quiet:
        return
    level = str(row["level"])
    click.echo(f"{click.style(f'{level:8}', fg=COLOURS[level])} [{row['code']}] {row['sentence']}")
    if row["do"] and not row["mended"]:
        click.echo(f"         next: {row['do']}")
    if told:
        click.echo(f"         {told}")
