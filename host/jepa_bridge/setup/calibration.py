"""What a robot's measurements say of its settings: numbers in, settings out, nothing moves here.

A motor turns with slope * (output - dead zone), output in permille of full voltage; the firmware's curve is
dead + 10 * units * gain / 1000. So the dead zone is copied and the gain makes 80 units the speed that the models know.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.types import WHEEL_UNITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jepa_bridge.twin.robot_settings import Value

FULL_SPEED_M_S = 0.5  # of a wheel at 80 units: what the models were trained with
PERMILLE_FULL = 1000
MOVED_TICKS = 30  # fewer are a wheel that was shaken, not driven


@dataclass(frozen=True, slots=True)
class MotorCurve:
    """One motor: ticks a second for an output in permille of full voltage."""

    dead_permille: float
    ticks_s_per_permille: float

    def ticks_s(self, permille: float) -> float:
        """The speed at an output."""
        return max(0.0, permille - self.dead_permille) * self.ticks_s_per_permille


@dataclass(frozen=True, slots=True)
class Nudge:
    """One wheel was driven forward for a moment: what both encoders counted, and what a person saw."""

    own_ticks: int
    other_ticks: int
    turned_forward: bool


def directions(side: str, nudge: Nudge, settings: dict[str, Value]) -> dict[str, Value]:
    """The signs that make a wheel and its encoder go forward together. Raises `wheels-swapped`, `encoder-silent`."""
    if abs(nudge.own_ticks) < MOVED_TICKS <= abs(nudge.other_ticks):
        raise BridgeError(
            "wheels-swapped",
            f"the {side} motor was driven and the other wheel's encoder counted",
            "exchange the wires of the two motors, or those of the two encoders",
            status=Exit.CHECK_FAILED,
        )
    if abs(nudge.own_ticks) < MOVED_TICKS:
        raise BridgeError(
            "encoder-silent",
            f"the {side} motor was driven and its encoder counted {nudge.own_ticks} ticks",
            "did the wheel turn? If not: motor wires, battery, sleep line. If it did: encoder wires and supply",
            status=Exit.CHECK_FAILED,
        )
    motor = 1 if nudge.turned_forward else -1
    counted = 1 if nudge.own_ticks > 0 else -1
    return {
        f"{side.upper()}_MOTOR_SIGN": number(settings, f"{side.upper()}_MOTOR_SIGN") * motor,
        f"{side.upper()}_ENCODER_SIGN": number(settings, f"{side.upper()}_ENCODER_SIGN") * counted * motor,
    }


def output_permille(side: str, units: float, settings: dict[str, Value]) -> float:
    """What the firmware, with these settings, gives the motor for some wheel units."""
    dead, gain = (number(settings, f"{side.upper()}_{what}_PERMILLE") for what in ("DEAD", "GAIN"))
    return min(PERMILLE_FULL, dead + units * gain / 100)


def units_for(side: str, permille: float, settings: dict[str, Value]) -> float:
    """The wheel units for an output: the other way around."""
    dead, gain = (number(settings, f"{side.upper()}_{what}_PERMILLE") for what in ("DEAD", "GAIN"))
    return (permille - dead) * 100 / gain


def fit_motor(side: str, speeds: Sequence[tuple[float, float]]) -> MotorCurve:
    """A line through (permille, ticks a second). Raises `motor-uneven` where there is none."""
    turning = [(permille, ticks_s) for permille, ticks_s in speeds if ticks_s > MOVED_TICKS]
    if len({permille for permille, _ in turning}) >= 2:
        slope, intercept = statistics.linear_regression(*zip(*turning, strict=True))
        if slope > 0 and intercept > 0:
            # a motor without a dead zone, and a little noise: the line goes through nothing at nothing
            slope, intercept = statistics.linear_regression(*zip(*turning, strict=True), proportional=True)
        if slope > 0:
            return MotorCurve(min(max(-intercept / slope, 0.0), 900.0), slope)
    told = ", ".join(f"{ticks_s:.0f} ticks/s at {permille:.0f}" for permille, ticks_s in speeds)
    raise BridgeError(
        "motor-uneven",
        f"the {side} wheel does not turn faster with more voltage: {told}",
        "is the battery charged, the wheel free, and the robot on a floor that it can turn on?",
        status=Exit.CHECK_FAILED,
    )


def motor_settings(left: MotorCurve, right: MotorCurve, ticks_per_metre: float) -> tuple[dict[str, Value], float]:
    """Dead zones and gains that make both wheels alike; and the speed in m/s that 80 units are then."""
    reach = min(curve.ticks_s(PERMILLE_FULL) for curve in (left, right))
    full_ticks_s = min(FULL_SPEED_M_S * ticks_per_metre, reach)
    changes: dict[str, Value] = {}
    for side, curve in (("LEFT", left), ("RIGHT", right)):
        changes[f"{side}_DEAD_PERMILLE"] = round(curve.dead_permille)
        permille_a_unit = full_ticks_s / WHEEL_UNITS / curve.ticks_s_per_permille
        changes[f"{side}_GAIN_PERMILLE"] = max(1, round(permille_a_unit * 100))
    return changes, full_ticks_s / ticks_per_metre


def ticks_per_metre(left_ticks: int, right_ticks: int, distance_mm: float) -> int:
    """Both wheels' mean over a straight way that a person measured."""
    if distance_mm < 100:
        raise _implausible("distance", f"{distance_mm:g} mm", "at least 100 mm")
    per_metre = round((left_ticks + right_ticks) / 2 / distance_mm * 1000)
    if not 100 <= per_metre <= 100_000:
        raise _implausible("distance", f"{distance_mm:g} mm gives {per_metre} ticks a metre", "100 to 100000")
    return per_metre


def track_um(left_ticks: int, right_ticks: int, turned_deg: float, per_metre: float) -> int:
    """The track that makes these ticks this turn, scrubbing of the tyres included."""
    if abs(turned_deg) < 180:
        raise _implausible("turn", f"{turned_deg:g} degrees", "at least 180")
    track = round((right_ticks - left_ticks) / per_metre / (math.radians(turned_deg)) * 1e6)
    if not 30_000 <= track <= 1_000_000:
        raise _implausible("turn", f"{turned_deg:g} degrees give a track of {track / 1000:g} mm", "30 to 1000 mm")
    return track


def gyro_sign(settings: dict[str, Value], odometry_deg: float, turned_deg: float) -> dict[str, Value]:
    """Whether the gyro counts the right way round: odometry turned with it. Raises `gyro-scale` where neither fits.

    A gyro that is not there, or gave itself up, leaves odometry to the wheels, and those to the track.
    """
    if settings["GYRO"] == "none":
        return {}
    share = odometry_deg / turned_deg
    if 0.8 < share < 1.2:
        return {"GYRO_SIGN": number(settings, "GYRO_SIGN")}
    if -1.2 < share < -0.6:
        return {"GYRO_SIGN": -number(settings, "GYRO_SIGN")}
    raise BridgeError(
        "gyro-scale",
        f"odometry with the gyro turned {odometry_deg:.0f} degrees where the robot turned {turned_deg:.0f}",
        "is the gyro flat on the robot and does it stand still for 2 s after the start? Or set GYRO to none",
        status=Exit.CHECK_FAILED,
    )


def range_offset_mm(old_mm: int, reading_mm: float, true_mm: float) -> int:
    """What to add to a reading from now on, where `old_mm` was added to it so far."""
    offset = round(old_mm + true_mm - reading_mm)
    if abs(offset) > 300:
        raise _implausible("range", f"{true_mm:g} mm where the sensor reads {reading_mm:.0f}", "within 300 mm of it")
    return offset


def number(settings: dict[str, Value], name: str) -> int:
    """A setting that is a number."""
    value = settings[name]
    if not isinstance(value, int):
        raise BridgeError("robot-settings", f"{name} = {value!r}: expected a whole number", status=Exit.USAGE)
    return value


def _implausible(what: str, came: str, expected: str) -> BridgeError:
    return BridgeError(
        "calibration-implausible", f"{what}: {came}, expected {expected}", "measure again", status=Exit.CHECK_FAILED
    )
