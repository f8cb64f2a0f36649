"""Who measures what a robot did: a person's answers given beforehand, or a twin's own truth."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING

from jepa_bridge.errors import BridgeError, Exit, missing_extra
from jepa_bridge.types import RANGE_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from jepa_bridge.twin.arena import Arena, Pose

TRUTH_AFTER_S = 0.4  # until the line of a standing twin is written


class Answers:
    """Answers by name; what is missing is an error that says which."""

    def __init__(self, answers: Mapping[str, str], note: Callable[[str], None]) -> None:
        self.note = note
        self._answers = answers

    def permit(self, what: str) -> None:
        """Given by asking for a calibration without questions."""

    def forward(self, side: str) -> bool:
        """`left-forward=yes`."""
        answer = self._get(f"{side}-forward", "yes or no")
        if answer not in ("yes", "no"):
            raise _missing(f"{side}-forward", "yes or no")
        return answer == "yes"

    def distance_mm(self, expected_mm: float) -> float:
        """`distance-mm=1012`."""
        return self._number("distance-mm")

    def turned_deg(self, expected_deg: float) -> float:
        """`turned-deg=1100`."""
        return self._number("turned-deg")

    def range_mm(self, name: str, reading_mm: float) -> float | None:
        """`front-mm=500`; a sensor without an answer keeps its offset."""
        return self._number(f"{name}-mm") if f"{name}-mm" in self._answers else None

    def _get(self, name: str, expected: str) -> str:
        if name not in self._answers:
            raise _missing(name, expected)
        return self._answers[name]

    def _number(self, name: str) -> float:
        try:
            return float(self._get(name, "a number"))
        except ValueError:
            raise _missing(name, "a number") from None


class TwinTruth:
    """A twin's truth file in place of a person with a ruler."""

    def __init__(self, truth: Path, arena: Arena, start: Pose | None, note: Callable[[str], None]) -> None:
        self.note = note
        self._truth = truth
        self._arena = arena
        self._at = 0  # lines of the file that were taken into account
        self._pose = start or arena.start_pose
        self._turned_rad = 0.0
        self._distance_m = 0.0

    def permit(self, what: str) -> None:
        """Nobody is hurt."""

    def forward(self, side: str) -> bool:
        """The way the wheel turned furthest since the last question."""
        lines = self._read()
        speeds = [line[f"{side}_m_s"] for line in lines]
        return max(speeds, key=abs, default=0.0) > 0

    def distance_mm(self, expected_mm: float) -> float:
        """In a straight line from where it stood at the last turn."""
        self._read()
        return self._distance_m * 1000

    def turned_deg(self, expected_deg: float) -> float:
        """Since the last question: whole turns are counted too."""
        self._read()
        return math.degrees(self._turned_rad)

    def range_mm(self, name: str, reading_mm: float) -> float | None:
        """What a perfect sensor would read."""
        try:
            from jepa_bridge.twin.physics import Physics  # noqa: PLC0415 - MuJoCo, for twins only
        except ImportError as error:
            raise missing_extra("mujoco", "sim") from error

        self._read()
        physics = Physics(self._arena)
        physics.reset(self._pose)
        return float(physics.ranges_m()[RANGE_NAMES.index(name)]) * 1000

    def _read(self) -> list[dict[str, float]]:
        """Follow the file to its end; sums up distance and turn since the last call."""
        time.sleep(TRUTH_AFTER_S)
        lines = [json.loads(line) for line in self._truth.read_text(encoding="utf-8").splitlines() if line[-1:] == "}"]
        new = lines[self._at :]
        self._at = len(lines)
        self._turned_rad = 0.0
        begin = self._pose
        for line in new:
            self._turned_rad += math.remainder(line["heading_rad"] - self._pose[2], 2 * math.pi)
            self._pose = (line["x_m"], line["y_m"], line["heading_rad"])
        self._distance_m = self._straight(begin, new)
        return new

    def _straight(self, begin: Pose, lines: list[dict[str, float]]) -> float:
        """The way that was driven with both wheels forward, as a ruler along it would measure."""
        rolled = [line for line in lines if line["left_m_s"] > 0.05 and line["right_m_s"] > 0.05]
        if not rolled:
            return math.hypot(self._pose[0] - begin[0], self._pose[1] - begin[1])
        first = lines[max(0, lines.index(rolled[0]) - 1)]
        return math.hypot(self._pose[0] - first["x_m"], self._pose[1] - first["y_m"])


def _missing(name: str, expected: str) -> BridgeError:
    return BridgeError(
        "answer-missing",
        f"calibrating without questions needs the answer {name}: {expected}",
        f"add --answer {name}=...; or leave --yes away and be asked",
        status=Exit.USAGE,
    )
