"""`jepa-bridge flash`: the firmware onto a board."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import click


@click.command("flash")
@click.option("--port", required=True, help="Where the board is, such as /dev/ttyUSB0.")
@click.option("--board", metavar="NAME", help="A file of firmware/boards. Default: BOARD of the settings.")
@click.option("--image", type=click.Path(path_type=Path), help="Erase the chip and write this MicroPython image first.")
@click.option(
    "--settings",
    type=click.Path(path_type=Path),
    help="This robot's settings, as `calibrate` writes them. Default: the robot as drawn.",
)
@click.option("--architecture", help="Compile for this instead of the chip (mpy-cross -march).")
@click.option("--baud", default=115200, show_default=True, help="The firmware's rate.")
@click.option("--no-start", is_flag=True, help="Leave it at the prompt.")
@click.option("--dry-run", is_flag=True, help="Print the commands, run none.")
@click.option("--json", "as_json", is_flag=True, help="Tell the result as one line of JSON.")
def command(*, as_json: bool, dry_run: bool, no_start: bool, **options: Any) -> None:
    """Put the firmware on an ESP32 board, start it, and wait for its HELLO.

    Only what changed is copied, and proven by hash. A new board needs a MicroPython image first (1.24 or newer): the
    download page of the MicroPython project has one for each chip; take the newest .bin and give it with --image.

    \b
    jepa-bridge flash --port /dev/ttyUSB0 --board esp32_devkit --image ESP32_GENERIC.bin
    jepa-bridge flash --port /dev/ttyACM0 --board esp32_s3 --settings my-robot.py
    jepa-bridge flash --port /dev/ttyUSB0 --dry-run

    What can go wrong has a code: no-prompt (press reset), wrong-board, flash-failed (a program's own words),
    flash-verify, missing-extra (pip install 'jepa-bridge[flash]'), no-hello.
    """
    from jepa_bridge.resources import shipped
    from jepa_bridge.setup import flash as flashing
    from jepa_bridge.twin.robot_settings import read_settings

    settings = options["settings"] or shipped("firmware") / "settings.py"
    board = str(read_settings(settings).get("BOARD", ""))
    if options["board"] not in (None, board):
        board = options["board"]
        settings = _with_board(settings, board)
    request = flashing.FlashRequest(
        port=options["port"],
        board=board,
        settings=settings,
        image=options["image"],
        architecture=options["architecture"],
        baud=options["baud"],
        reset=not no_start,
    )
    report = flashing.dry_run(request) if dry_run else flashing.flash(request, lambda text: click.echo(text, err=True))
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(report)))
    elif dry_run:
        click.echo("\n".join(report.commands))
    else:
        click.echo(f"{len(report.copied)} files copied, {len(report.unchanged)} unchanged, all verified by hash")
        if report.robot:
            click.echo(f"robot {report.robot} says HELLO   drive it: jepa-bridge --port {request.port} --goal 4,4")


def _with_board(settings: Path, board: str) -> Path:
    """The same settings for another board, in a file that lasts as long as this program."""
    import atexit
    import shutil
    import tempfile

    from jepa_bridge.twin.robot_settings import write_settings

    folder = Path(tempfile.mkdtemp(prefix="jepa-bridge-settings-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_settings(settings, folder / "settings.py", {"BOARD": board})
    return folder / "settings.py"
