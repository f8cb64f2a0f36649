"""What a twin is asked to be: `ARENA?seed=3&speed=2`, behind `sim://` or after `python -m jepa_bridge.twin`.

| parameter | meaning | default |
|---|---|---|
| seed | which arena of that name, and which robot | 0 |
| speed | simulated seconds a second | 1 |
| start | X,Y,HEADING in metres and degrees, where the robot stands | the arena's own |
| firmware | micropython or cpython | micropython where its command is installed |
| randomise | 1: a robot that deviates from the drawing, drawn by the seed | 0 |
| bump | 0: the bump sensor stays silent | 1 |
| truth | file that gets the true pose and contacts, as JSON lines | none |
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import numpy as np

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.twin.arena import make_arena
from jepa_bridge.twin.randomise import Randomisation

if TYPE_CHECKING:
    from collections.abc import Callable

    from jepa_bridge.twin.arena import Arena, Pose

# slower than this and the host's time-outs fire, faster and the firmware cannot keep up
SPEED_MIN, SPEED_MAX = 0.05, 20.0


@dataclass(frozen=True, slots=True)
class TwinSettings:
    """One twin, told by the parameters above."""

    arena: str = "open"
    seed: int = 0
    speed: float = 1.0  # simulated seconds a second
    start: Pose | None = None  # x m, y m, heading rad; None: the arena's own
    firmware: str | None = None  # "micropython", "cpython"; None: the first of the two that is there
    randomise: bool = False
    bump: bool = True
    truth: Path | None = None

    def make_arena(self) -> Arena:
        """The arena of these settings; a BridgeError for an unknown name."""
        return make_arena(self.arena, self.seed)

    def randomisation(self) -> Randomisation | None:
        """The robot's deviations, if it shall have any."""
        return Randomisation.sample(np.random.default_rng(self.seed)) if self.randomise else None


def parse_settings(text: str) -> TwinSettings:
    """Read `ARENA?KEY=VALUE&...`; BridgeError for an unknown arena or parameter and for a value that makes no sense."""
    name, _, query = text.partition("?")
    values: dict[str, object] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in _PARAMETERS:
            raise _refused(f"the twin has no parameter {key!r}")
        read, expected = _PARAMETERS[key]
        try:
            values[key] = read(value)
        except ValueError:
            raise _refused(f"the twin's parameter {key}: expected {expected}, got {value!r}") from None
    settings = TwinSettings(arena=name.rstrip("/"), **values)  # type: ignore[arg-type]  # each value read by its own reader
    arena = settings.make_arena()
    if settings.start is not None and arena.clearance(*settings.start[:2]) < 0.0:
        raise _refused(f"the start {settings.start[0]:g},{settings.start[1]:g} is no free place in {arena.name}")
    return settings


def _refused(message: str) -> BridgeError:
    return BridgeError("twin-parameter", message, f"known parameters: {', '.join(_PARAMETERS)}", status=Exit.USAGE)


def _seed(text: str) -> int:
    seed = int(text)
    if seed < 0:
        raise ValueError
    return seed


def _speed(text: str) -> float:
    speed = float(text)
    if not SPEED_MIN <= speed <= SPEED_MAX:  # also refuses nan
        raise ValueError
    return speed


def _start(text: str) -> Pose:
    x_m, y_m, heading_deg = (float(part) for part in text.split(","))
    if not all(math.isfinite(value) for value in (x_m, y_m, heading_deg)):
        raise ValueError
    return x_m, y_m, math.radians(heading_deg)


def _firmware(text: str) -> str:
    if text not in ("micropython", "cpython"):
        raise ValueError
    return text


def _switch(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError
    return text == "1"


def _path(text: str) -> Path:
    if not text:
        raise ValueError
    return Path(text).absolute()


_PARAMETERS: dict[str, tuple[Callable[[str], object], str]] = {
    "seed": (_seed, "a whole number from 0"),
    "speed": (_speed, f"a number from {SPEED_MIN:g} to {SPEED_MAX:g}"),
    "start": (_start, "X,Y,HEADING in metres and degrees"),
    "firmware": (_firmware, "micropython or cpython"),
    "randomise": (_switch, "0 or 1"),
    "bump": (_switch, "0 or 1"),
    "truth": (_path, "a file name"),
}
