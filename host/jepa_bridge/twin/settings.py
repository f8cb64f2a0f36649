"""What a twin is asked to be: `ARENA?seed=3&speed=2`, behind `sim://` or after `python -m jepa_bridge.twin`.

| parameter | meaning | default |
|---|---|---|
| seed | which arena of that name, and which robot | 0 |
| speed | simulated seconds a second | 1 |
| start | X,Y,HEADING in metres and degrees, where the robot stands | the arena's own |
| firmware | micropython or cpython | micropython where its command is installed |
| randomise | 1: a robot that deviates from the drawing, drawn by the seed | 0 |
| bump | 0: the bump sensor stays silent | 1 |
| settings | a robot's settings file, as flash would copy it: what the firmware believes | the robot as drawn |
| track_mm, range_offsets_mm | as really built: track, and what the eight ranges read too long | as drawn |
| left_gain, right_gain | wheel speed as a factor | 1 |
| left_dead, right_dead | permille of full voltage that a motor takes without turning | 0 |
| left_ticks, right_ticks | encoder ticks a metre as a factor | 1 |
| left_motor, right_motor, left_encoder, right_encoder | -1: wired the wrong way around | 1 |
| truth | file that gets the true pose and contacts, as JSON lines | none |
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import numpy as np

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.twin.arena import make_arena
from jepa_bridge.twin.randomise import Randomisation
from jepa_bridge.twin.robot_settings import read_settings

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
    settings: Path | None = None  # what the firmware believes of its robot; None: as drawn
    body: tuple[tuple[str, float | tuple[float, ...]], ...] = ()  # fields of Randomisation that are not as drawn

    def make_arena(self) -> Arena:
        """The arena of these settings; a BridgeError for an unknown name."""
        return make_arena(self.arena, self.seed)

    def randomisation(self) -> Randomisation | None:
        """The robot's deviations, if it shall have any."""
        drawn = Randomisation.sample(np.random.default_rng(self.seed)) if self.randomise else None
        return replace(drawn or Randomisation(), **dict(self.body)) if self.body else drawn  # type: ignore[arg-type]


def parse_settings(text: str) -> TwinSettings:
    """Read `ARENA?KEY=VALUE&...`; BridgeError for an unknown arena or parameter and for a value that makes no sense."""
    name, _, query = text.partition("?")
    values: dict[str, object] = {}
    body: dict[str, float | tuple[float, ...]] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in _PARAMETERS and key not in _BODY:
            raise _refused(f"the twin has no parameter {key!r}")
        try:
            if key in _BODY:
                field, read_body, expected = _BODY[key]
                body[field] = read_body(value)
            else:
                read, expected = _PARAMETERS[key]
                values[key] = read(value)
        except ValueError:
            raise _refused(f"the twin's parameter {key}: expected {expected}, got {value!r}") from None
    settings = TwinSettings(arena=name.rstrip("/"), body=tuple(body.items()), **values)  # type: ignore[arg-type]  # each value read by its own reader
    arena = settings.make_arena()
    if settings.start is not None and arena.clearance(*settings.start[:2]) < 0.0:
        raise _refused(f"the start {settings.start[0]:g},{settings.start[1]:g} is no free place in {arena.name}")
    return settings


def _refused(message: str) -> BridgeError:
    return BridgeError(
        "twin-parameter", message, f"known parameters: {', '.join((*_PARAMETERS, *_BODY))}", status=Exit.USAGE
    )


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


def _settings(text: str) -> Path:
    path = _path(text)
    read_settings(path)  # says what is wrong with it
    return path


def _within(low: float, high: float, scale: float = 1.0) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise ValueError
        return value * scale

    return read


def _sign(text: str) -> float:
    if text not in ("1", "-1"):
        raise ValueError
    return int(text)


def _offsets(text: str) -> tuple[float, ...]:
    offsets_m = tuple(float(part) / 1000 for part in text.split(","))
    if len(offsets_m) != 8 or not all(abs(offset_m) <= 0.5 for offset_m in offsets_m):
        raise ValueError
    return offsets_m


_PARAMETERS: dict[str, tuple[Callable[[str], object], str]] = {
    "seed": (_seed, "a whole number from 0"),
    "speed": (_speed, f"a number from {SPEED_MIN:g} to {SPEED_MAX:g}"),
    "start": (_start, "X,Y,HEADING in metres and degrees"),
    "firmware": (_firmware, "micropython or cpython"),
    "randomise": (_switch, "0 or 1"),
    "bump": (_switch, "0 or 1"),
    "truth": (_path, "a file name"),
    "settings": (_settings, "a settings file"),
}
_FACTOR = (_within(0.2, 5.0), "a factor from 0.2 to 5")
_PERMILLE = (_within(0.0, 500.0, 0.001), "a number from 0 to 500")
_DIRECTION = (_sign, "1 or -1")
_BODY: dict[str, tuple[str, Callable[[str], float | tuple[float, ...]], str]] = {
    "track_mm": ("track_m", _within(80.0, 400.0, 0.001), "a number from 80 to 400"),
    "left_gain": ("left_gain", *_FACTOR),
    "right_gain": ("right_gain", *_FACTOR),
    "left_ticks": ("left_tick_scale", *_FACTOR),
    "right_ticks": ("right_tick_scale", *_FACTOR),
    "left_dead": ("left_dead", *_PERMILLE),
    "right_dead": ("right_dead", *_PERMILLE),
    "left_motor": ("left_motor_sign", *_DIRECTION),
    "right_motor": ("right_motor_sign", *_DIRECTION),
    "left_encoder": ("left_encoder_sign", *_DIRECTION),
    "right_encoder": ("right_encoder_sign", *_DIRECTION),
    "range_offsets_mm": ("range_offsets_m", _offsets, "eight numbers from -500 to 500"),
}
