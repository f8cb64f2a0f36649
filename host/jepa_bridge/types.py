"""What flows through the bridge: frozen values, SI units in the names, nothing of ours imported."""

from __future__ import annotations

import math
from dataclasses import dataclass

RANGE_NAMES = ("front", "frontLeft", "frontRight", "left", "right", "backLeft", "backRight", "back")
# where each range sensor looks, counter-clockwise from the robot's nose
RANGE_BEARINGS_RAD = tuple(math.radians(deg) for deg in (0, 45, -45, 90, -90, 135, -135, 180))
WHEEL_UNITS = 80  # a wheel command of 1.0 is 80 of the motor's 100


@dataclass(frozen=True, slots=True)
class Observation:
    """What the robot sensed at one moment.

    `ranges_m` follows RANGE_NAMES; None is a sensor that gave no reading. The pose is the robot's own odometry in the
    arena's frame: x, y in metres, heading counter-clockwise from +x in (-pi, pi].
    """

    seq: int  # SENSOR frame's sequence number
    t_us: int  # device clock, unwrapped: never decreases within a session
    ranges_m: tuple[float | None, ...]
    x_m: float
    y_m: float
    heading_rad: float
    left_m_s: float = 0.0
    right_m_s: float = 0.0
    battery_v: float | None = None
    bump: bool = False
    wheel_stall: bool = False


@dataclass(frozen=True, slots=True)
class WheelCommand:
    """Left and right wheel in [-1, 1]; both zero is standing still."""

    left: float
    right: float

    def wheel_units(self) -> tuple[int, int]:
        """The integers that cross the wire, -80..80."""
        return round(self.left * WHEEL_UNITS), round(self.right * WHEEL_UNITS)


STANDSTILL = WheelCommand(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Goal:
    """A place to reach: within `radius_m` of (x, y). Heading and ranges may be left out; people rarely know them."""

    x_m: float
    y_m: float
    heading_rad: float | None = None
    ranges_m: tuple[float | None, ...] | None = None
    radius_m: float = 0.25

    def distance_m(self, observation: Observation) -> float:
        """Metres in a straight line from the observed pose."""
        return math.hypot(self.x_m - observation.x_m, self.y_m - observation.y_m)


@dataclass(frozen=True, slots=True)
class Plan:
    """A planned action sequence, one action every `step_s`, starting at the observation it was made from."""

    index: int  # counts plans of one run; seeds the sampling noise
    observation_seq: int
    observation_t_us: int
    actions: tuple[tuple[float, float], ...]  # (left, right) in [-1, 1]
    cost: float
    confidence: float  # lowest along the plan, 0..1
    step_s: float
    iterations: int = 0  # of the search: fewer when time was short; 0: not known


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of experience: what was seen, what was done for `duration_s`, what was seen then."""

    before: Observation
    action: WheelCommand
    after: Observation
    duration_s: float
