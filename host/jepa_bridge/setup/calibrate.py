"""The guided calibration: what the robot does, what the person is asked, and the settings that come out.

First the directions of motors and encoders. If one is wrong the rest has to wait until that is flashed, because
odometry, and the firmware's own guards, count with it. Then, each from what came before: motor curves (turning on the
spot), ticks a metre (a straight way, measured by hand), track (turns, counted by hand), range offsets (a ruler).
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.setup import calibration as sums
from jepa_bridge.types import RANGE_NAMES

if TYPE_CHECKING:
    from jepa_bridge.link.schema import Sensor
    from jepa_bridge.setup.calibrate_drive import CalibrationDrive
    from jepa_bridge.twin.robot_settings import Value

NUDGE_UNITS = (20, 30, 45, 60)  # until the encoder counts: a dead zone may hold the first ones
NUDGE_S = 0.35  # the firmware takes a wheel that turns against its order for a runaway after 1 s
LEVELS = (30, 45, 60, 75)
LEVEL_S = 1.6
SETTLE_SHARE = 0.5  # of a level, until the speed is steady; spinning drags the tyres, which costs the twin 3 % of it
STRAIGHT_M = 1.0
STRAIGHT_SPEED = 0.4  # of the weaker wheel's full speed
ROOM_M = 0.35  # beyond the straight way
TURNS = 3
LOOK_S = 0.5
RANGE_USABLE_MM = 1500


class Person(Protocol):
    """Who sees what the robot cannot."""

    def permit(self, what: str) -> None:
        """Before the robot may move. Raises to end it."""

    def forward(self, side: str) -> bool:
        """Whether that wheel has just turned forward."""

    def distance_mm(self, expected_mm: float) -> float:
        """How far the robot has just driven."""

    def turned_deg(self, expected_deg: float) -> float:
        """How far it has just turned, counter-clockwise."""

    def range_mm(self, name: str, reading_mm: float) -> float | None:
        """How far it is from the body's rim to what that sensor looks at; None: not known."""

    def note(self, text: str) -> None:
        """What is going on."""


@dataclass(slots=True)
class Calibration:
    """What was found."""

    changes: dict[str, Value] = field(default_factory=dict)
    complete: bool = False  # False: directions only; flash them, then go on
    full_speed_m_s: float | None = None
    ranges_unknown: list[str] = field(default_factory=list)


def calibrate(drive: CalibrationDrive, person: Person, settings: dict[str, Value]) -> Calibration:
    """Measure all. The robot must be connected; it is armed here, by the person's word."""
    found = Calibration()
    person.permit("the robot will turn on the spot and drive 1 m: put it on the floor with 1.5 m around it")
    drive.arm()
    found.changes |= _directions(drive, person, settings)
    if any(settings[name] != value for name, value in found.changes.items()):
        person.note("a direction was wrong: the rest is measured once that is flashed")
        return found
    left, right = _motor_curves(drive, person, settings)
    found.changes["TICKS_PER_METRE"] = per_metre = _straight(drive, person, settings, (left, right))
    motor_changes, found.full_speed_m_s = sums.motor_settings(left, right, per_metre)
    turn_changes = _turns(drive, person, settings, per_metre)
    found.changes |= turn_changes
    track_um = sums.number(turn_changes, "TRACK_UM")
    found.changes |= motor_changes
    found.changes["RANGE_OFFSETS_MM"], found.ranges_unknown = _ranges(drive, person, settings, track_um * per_metre)
    found.complete = True
    return found


def _directions(drive: CalibrationDrive, person: Person, settings: dict[str, Value]) -> dict[str, Value]:
    changes: dict[str, Value] = {}
    for side in ("left", "right"):
        person.note(f"the {side} wheel turns for a moment")
        own = other = 0
        for units in NUDGE_UNITS:
            before = drive.rest()
            drive.hold(units if side == "left" else 0, units if side == "right" else 0, NUDGE_S)
            after = drive.rest()
            counted = (after.left_ticks - before.left_ticks, after.right_ticks - before.right_ticks)
            own, other = counted if side == "left" else counted[::-1]
            if max(abs(own), abs(other)) >= 2 * sums.MOVED_TICKS:
                break
        changes |= sums.directions(side, sums.Nudge(own, other, person.forward(side)), settings)
    return changes


def _motor_curves(
    drive: CalibrationDrive, person: Person, settings: dict[str, Value]
) -> tuple[sums.MotorCurve, sums.MotorCurve]:
    person.note("turning on the spot, slowly and then faster, both ways")
    speeds: dict[str, list[tuple[float, float]]] = {"left": [], "right": []}
    for units in LEVELS:
        both_ways: dict[str, list[float]] = {"left": [], "right": []}
        for way in (1, -1):
            seen, times_us = drive.hold(way * units, -way * units, LEVEL_S)
            start = round(len(seen) * SETTLE_SHARE)
            span_s = (times_us[-1] - times_us[start]) / 1e6
            both_ways["left"].append(abs(seen[-1].left_ticks - seen[start].left_ticks) / span_s)
            both_ways["right"].append(abs(seen[-1].right_ticks - seen[start].right_ticks) / span_s)
            drive.rest()
        for side, pair in both_ways.items():
            speeds[side].append((sums.output_permille(side, units, settings), statistics.fmean(pair)))
    return sums.fit_motor("left", speeds["left"]), sums.fit_motor("right", speeds["right"])


def _straight(
    drive: CalibrationDrive,
    person: Person,
    settings: dict[str, Value],
    curves: tuple[sums.MotorCurve, sums.MotorCurve],
) -> int:
    """Drive about a metre with both encoders in step, and have it measured."""
    believed = sums.number(settings, "TICKS_PER_METRE")
    _find_room(drive, person)
    person.note("driving 1 m straight on")
    before = drive.rest()
    goal_ticks = STRAIGHT_M * believed
    wanted = STRAIGHT_SPEED * min(curve.ticks_s(sums.PERMILLE_FULL) for curve in curves)
    units = [
        sums.units_for(side, curve.dead_permille + wanted / curve.ticks_s_per_permille, settings)
        for side, curve in zip(("left", "right"), curves, strict=True)
    ]

    def steer(sensor: Sensor, _t_us: int) -> tuple[float, float] | None:
        left, right = sensor.left_ticks - before.left_ticks, sensor.right_ticks - before.right_ticks
        if (left + right) / 2 >= goal_ticks:
            return None
        lead = max(-8.0, min(8.0, (left - right) * 200 / believed))
        return units[0] - lead, units[1] + lead

    drive.drive(steer)
    after = drive.rest()
    left, right = after.left_ticks - before.left_ticks, after.right_ticks - before.right_ticks
    return sums.ticks_per_metre(left, right, person.distance_mm((left + right) / 2 / believed * 1000))


def _find_room(drive: CalibrationDrive, person: Person) -> None:
    """Turn until the way ahead is free; up to once around."""
    need_mm = (STRAIGHT_M + ROOM_M) * 1000

    def free(sensor: Sensor) -> bool:
        ahead = [sensor.ranges_mm[RANGE_NAMES.index(name)] for name in ("front", "frontLeft", "frontRight")]
        return all(
            range_mm is not None and range_mm >= least
            for range_mm, least in zip(ahead, (need_mm, 400, 400), strict=True)
        )

    if free(drive.rest()):
        return
    person.note("looking for a free way")
    started_us: list[int] = []

    def steer(sensor: Sensor, t_us: int) -> tuple[float, float] | None:
        started_us.append(t_us)
        if free(sensor) or t_us - started_us[0] > 12e6:
            return None
        return -30.0, 30.0

    drive.drive(steer)
    if not free(drive.rest()):
        raise BridgeError(
            "calibration-no-room",
            f"no way of {need_mm / 1000:.2f} m is free ahead, whichever way it looks",
            "put the robot where it has 1.5 m on one side",
            status=Exit.ROBOT_REFUSED,
        )


def _turns(drive: CalibrationDrive, person: Person, settings: dict[str, Value], per_metre: int) -> dict[str, Value]:
    person.note(f"turning counter-clockwise, about {TURNS} times")
    before, after, odometry_rad = _spin(drive, TURNS * 2 * math.pi, sums.number(settings, "TRACK_UM") * per_metre)
    left, right = after.left_ticks - before.left_ticks, after.right_ticks - before.right_ticks
    believed_rad = (right - left) / per_metre / (sums.number(settings, "TRACK_UM") / 1e6)
    turned_deg = person.turned_deg(math.degrees(believed_rad))
    track_um = sums.track_um(left, right, turned_deg, per_metre)
    return {"TRACK_UM": track_um, **sums.gyro_sign(settings, math.degrees(odometry_rad), turned_deg)}


def _spin(drive: CalibrationDrive, angle_rad: float, um_ticks_per_metre: float) -> tuple[Sensor, Sensor, float]:
    """Turn counter-clockwise by wheel ticks; the readings at rest before and after, and odometry's turn."""
    before = drive.rest()
    goal = angle_rad * um_ticks_per_metre / 1e6
    headings = [before.heading_mrad / 1000]

    def steer(sensor: Sensor, _t_us: int) -> tuple[float, float] | None:
        headings.append(sensor.heading_mrad / 1000)
        turned = (sensor.right_ticks - before.right_ticks) - (sensor.left_ticks - before.left_ticks)
        return None if turned >= goal else (-35.0, 35.0)

    drive.drive(steer)
    after = drive.rest()
    headings.append(after.heading_mrad / 1000)
    turns_rad = (math.remainder(now - last, 2 * math.pi) for last, now in pairwise(headings))
    return before, after, sum(turns_rad)


def _ranges(
    drive: CalibrationDrive, person: Person, settings: dict[str, Value], um_ticks_per_metre: float
) -> tuple[tuple[int, ...], list[str]]:
    """Each sensor against a ruler, in four directions, until all had something to look at."""
    old = settings["RANGE_OFFSETS_MM"]
    assert isinstance(old, tuple)
    offsets = list(old)
    unknown = list(RANGE_NAMES)
    for quarter in range(4):
        if quarter:
            person.note(f"turning a quarter: not yet measured are {', '.join(unknown)}")
            _spin(drive, math.pi / 2, um_ticks_per_metre)
        seen, _ = drive.hold(0, 0, LOOK_S)
        for name in list(unknown):
            place = RANGE_NAMES.index(name)
            readings = [sensor.ranges_mm[place] for sensor in seen]
            known = [reading for reading in readings if reading is not None]
            if len(known) < len(readings) * 0.8 or not 50 < statistics.median(known) < RANGE_USABLE_MM:
                continue
            reading_mm = statistics.median(known)
            true_mm = person.range_mm(name, reading_mm)
            if true_mm is not None:
                offsets[place] = sums.range_offset_mm(old[place], reading_mm, true_mm)
                unknown.remove(name)
        if not unknown:
            break
    return tuple(offsets), unknown
