"""`jepa-bridge calibrate`: measure a robot and write its settings."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from jepa_bridge.setup.calibrate import Calibration, Person


@click.command("calibrate")
@click.option("--port", required=True, help="Where the robot is; sim://... measures a twin by its truth.")
@click.option("--settings", type=click.Path(path_type=Path), help="What is on the robot now. Default: as drawn.")
@click.option("--out", type=click.Path(path_type=Path), default="robot-settings.py", show_default=True)
@click.option("--yes", is_flag=True, help="Ask nothing: the robot may move at once, answers come by --answer.")
@click.option("--answer", "answers", multiple=True, metavar="NAME=VALUE", help="See below; may be repeated.")
@click.option("--baud", default=115200, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Tell the result as one line of JSON; implies --yes.")
def command(*, port: str, out: Path, yes: bool, as_json: bool, baud: int, **options: Any) -> None:
    """Measure wheel directions, motors, ticks a metre, track and range offsets; write a settings file.

    It needs 1.5 m of free floor, a ruler and five minutes. The robot moves only after you press Enter, each movement
    ends by itself, and Ctrl-C stops it. If a wheel turns the wrong way round only that is written: flash it, then run
    this again with --settings.

    \b
    jepa-bridge calibrate --port /dev/ttyUSB0
    jepa-bridge flash --port /dev/ttyUSB0 --settings robot-settings.py
    jepa-bridge calibrate --port 'sim://open?track_mm=171&left_gain=0.9'
    jepa-bridge --port 'sim://open?track_mm=171&left_gain=0.9&settings=robot-settings.py' --goal 4,4

    \b
    Answers: left-forward=yes|no, right-forward=yes|no    did that wheel turn forward?
             distance-mm=1012                             how far did it drive?
             turned-deg=1087                              how far did it turn?
             front-mm=500, frontLeft-mm=...               from the body's rim to the wall
    """
    from jepa_bridge.errors import BridgeError, Exit
    from jepa_bridge.link import open_transport
    from jepa_bridge.setup.calibrate import calibrate
    from jepa_bridge.setup.calibrate_drive import CalibrationDrive
    from jepa_bridge.twin.robot_settings import drawn_settings, read_settings, write_settings

    template: Path = options["settings"] or _drawn()
    settings = {**drawn_settings(), **read_settings(template)}
    answers = dict(answer.partition("=")[::2] for answer in options["answers"])
    unknown = sorted(set(answers) - _known_answers())
    if unknown:
        raise BridgeError("answer-unknown", f"there is no answer {unknown[0]!r}", "see --help", status=Exit.USAGE)
    with tempfile.TemporaryDirectory(prefix="jepa-bridge-calibrate-") as folder:
        url, person = _person(port, Path(folder), answers, quiet=yes or as_json)
        drive = CalibrationDrive(open_transport(url, baud))
        try:
            uid = drive.connect()
            person.note(f"robot {uid}")
            found = calibrate(drive, person, settings)
        finally:
            drive.close()
    write_settings(template, out, found.changes)
    _tell(found, settings, out, port, as_json=as_json)


def _person(port: str, folder: Path, answers: dict[str, str], *, quiet: bool) -> tuple[str, Person]:
    """The port to open, and who answers: the terminal, the options, or for a twin its own truth."""

    def note(text: str) -> None:
        click.echo(text, err=True)

    from jepa_bridge.setup.measured import Answers, TwinTruth

    if port.lower().startswith("sim://") and not answers:
        from jepa_bridge.twin.settings import parse_settings

        twin = parse_settings(port[len("sim://") :])
        truth = twin.truth or folder / "truth.jsonl"
        if twin.truth is None:
            port += ("&" if "?" in port else "?") + f"truth={truth}"
        return port, TwinTruth(truth, twin.make_arena(), twin.start, note)
    return port, Answers(answers, note) if quiet else _Terminal(answers, note)


class _Terminal:
    """Asks whoever sits there; answers given by options are not asked for."""

    def __init__(self, answers: dict[str, str], note: Any) -> None:
        self.note = note
        self._answers = answers

    def permit(self, what: str) -> None:
        click.prompt(f"{what}. Enter to begin, Ctrl-C to stop it at any time", default="", show_default=False)

    def forward(self, side: str) -> bool:
        if f"{side}-forward" in self._answers:
            return self._answers[f"{side}-forward"] == "yes"
        return click.confirm(f"did the {side} wheel turn so as to drive the robot forward?", default=True)

    def distance_mm(self, expected_mm: float) -> float:
        return self._number("distance-mm", f"how far did it drive, in mm (it believes {expected_mm:.0f})")

    def turned_deg(self, expected_deg: float) -> float:
        whole = f"it believes {expected_deg:.0f}; three turns are 1080"
        return self._number("turned-deg", f"how far did it turn, in degrees ({whole})")

    def range_mm(self, name: str, reading_mm: float) -> float | None:
        if f"{name}-mm" in self._answers:
            return float(self._answers[f"{name}-mm"])
        told = click.prompt(
            f"{name}: mm from the body's rim to the wall (it reads {reading_mm:.0f}; Enter to leave it)",
            default="",
            show_default=False,
        )
        return float(told) if told.strip() else None

    def _number(self, name: str, question: str) -> float:
        return float(self._answers[name]) if name in self._answers else float(click.prompt(question, type=float))


def _known_answers() -> set[str]:
    from jepa_bridge.types import RANGE_NAMES

    return {
        "left-forward",
        "right-forward",
        "distance-mm",
        "turned-deg",
        *(f"{name}-mm" for name in RANGE_NAMES),
    }


def _drawn() -> Path:
    from jepa_bridge.resources import shipped

    return shipped("firmware") / "settings.py"


def _tell(found: Calibration, settings: dict[str, Any], out: Path, port: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({**dataclasses.asdict(found), "settings": str(out)}))
        return
    for name, value in found.changes.items():
        was = "" if settings[name] == value else f"   (was {settings[name]})"
        click.echo(f"{name} = {value}{was}")
    if found.full_speed_m_s is not None:
        click.echo(f"at 80 units each wheel makes {found.full_speed_m_s:.2f} m/s; the models know 0.5")
    if found.ranges_unknown:
        click.echo(f"not measured: {', '.join(found.ranges_unknown)}")
    if port.lower().startswith("sim://"):
        use = f"add settings={out} to the twin's URL"
    else:
        use = f"jepa-bridge flash --port {port} --settings {out}"
    then = "" if found.complete else f"; then: jepa-bridge calibrate --port ... --settings {out}"
    click.echo(f"written to {out}   next: {use}{then}")
