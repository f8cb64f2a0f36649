"""The command line: `jepa-bridge [--port PORT ...]` drives, everything else is a verb with a file of its own.

Verbs are imported when they are called, and import what they need when they run, so that `--help` answers
at once.
"""

from __future__ import annotations

import importlib
import json
import os
import sys

import click

from jepa_bridge import __version__
from jepa_bridge.cli.drive_options import drive_options
from jepa_bridge.cli.settings import ERROR as CONFIG_ERROR
from jepa_bridge.cli.settings import effective
from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.setup.notify import journaled

VERBS = {
    "ports": "List the ports, who holds them, and which is a robot.",
    "doctor": "Look for what keeps the robot from driving, and say what to do.",
    "flash": "Put the firmware on an ESP32 board.",
    "calibrate": "Measure wheels, motors and sensors of a robot; write its settings.",
    "replay": "Feed a recording through the same code, offline.",
    "log": "Look into, repair and export recordings.",
    "twin": "Run the simulated robot as a device for other programs.",
    "collect": "Let the twin explore and store what it lives through.",
    "train": "Train a world model from collected data and recordings.",
    "export": "Turn a training run into a model bundle.",
    "eval": "Measure how well a model reaches goals.",
    "retrain": "Train a bundle further on its own drives; refuse it if it got worse.",
    "bench": "Measure link, firmware and planner on this machine.",
    "config": "The settings file: show, path, init.",
    "service": "Start by itself when the robot is plugged in (systemd).",
}


class VerbGroup(click.Group):
    """A group that imports a verb's module only when that verb is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs, in the order of use."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's command, from its module's `command`."""
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(f"jepa_bridge.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(
    "jepa-bridge",
    cls=VerbGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "JEPA_BRIDGE"},
)
@click.version_option(__version__, prog_name="jepa-bridge")
@drive_options
@click.pass_context
def cli(ctx: click.Context, /, **options: object) -> int:
    """Drive a robot with a small world model.

    \b
    jepa-bridge --port sim://open --goal 4,4 --once    the twin, to one goal
    jepa-bridge --goal 4,4                             the robot on USB, as soon as it is plugged in
    jepa-bridge --port /dev/ttyUSB0 --goal 4,4         the robot on that port
    jepa-bridge                                        look only: status and log, wheels off

    Each option is also an environment variable (--time-limit: JEPA_BRIDGE_TIME_LIMIT) and a setting in a file; see
    jepa-bridge config.
    """
    if ctx.invoked_subcommand is not None:
        return Exit.OK
    if CONFIG_ERROR in ctx.meta:
        raise ctx.meta[CONFIG_ERROR]
    if options["port"] is not None and options["robot"] is not None:
        raise click.UsageError("--port names a port and --robot a robot, wherever it is: give one of them")
    from jepa_bridge.cli.drive import drive

    return drive(settings_used=effective(ctx), **options)


def tell(error: BridgeError, *, as_json: bool) -> None:
    """One error for a person on stderr, or for a program on stdout."""
    if as_json:
        told = {"code": error.code, "message": error.message, "hint": error.hint, "status": int(error.status)}
        click.echo(json.dumps({"error": told}))
        return
    if "JOURNAL_STREAM" in os.environ and journaled():
        click.echo(f"<3>[{error.code}] {error.message}" + (f"; next: {error.hint}" if error.hint else ""), err=True)
        return
    click.echo(f"{click.style('error', fg='red', bold=True)} [{error.code}] {error.message}", err=True)
    if error.hint:
        click.echo(f"  next: {error.hint}", err=True)


def main() -> None:
    """Entry point of the console script: runs a verb and exits with its status, without a traceback for people."""
    as_json = "--json" in sys.argv
    try:
        status = cli.main(standalone_mode=False)
    except BridgeError as error:
        tell(error, as_json=as_json)
        status = error.status
    except click.exceptions.Exit as leaving:
        status = leaving.exit_code
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        status = Exit.INTERRUPTED
    except BrokenPipeError:
        # whoever read our output has gone; without this Python complains while it closes stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = Exit.OK
    sys.exit(int(status or 0))
