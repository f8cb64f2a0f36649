"""What drives when the model is not to be trusted: slowly, along the free direction nearest to the goal's.

A cut-down vector field histogram (Borenstein and Koren, 1991): the ends of the rays are points to keep away from, and
of a fan of directions those count as free that lead past all points. Eight rays see an obstacle at one moment and look
past it after a turn of twenty degrees; so points are remembered for some seconds where they were, or the robot would
turn to and fro before what it can no longer see.
"""

from __future__ import annotations

import math

from jepa_bridge.types import RANGE_BEARINGS_RAD, STANDSTILL, Goal, Observation, WheelCommand

CRUISE = 0.35  # of full speed: slow enough to stop within the nearest range that counts
TURN = 0.3
NEAR_M = 0.35  # a direction with less way than this is not free
TOUCHING_M = 0.12  # with less than this before the nose it backs off
BODY_M = 0.10  # from the centre to the rim, where ranges begin
BESIDE_M = 0.18  # from the robot's centre: what is further off a line than this is passed
AHEAD_RAD = math.radians(50)  # sensors within this of the nose see what the robot would drive into
FAN_RAD = tuple(math.radians(degrees) for degrees in range(-165, 181, 15))
DETOUR = 0.3  # what turning away from the nose costs, beside turning away from the goal
BLIND_READINGS = 5  # with this many sensors silent the robot stands still
CELL_M = 0.05  # points are remembered on a grid of this, so that a robot that stands does not pile them up
SEEN_M = 1.0  # only points within this are remembered: further ones change no command
REMEMBER_US = 5_000_000


class Reactive:
    """Feed it every observation; ask it for a command when no plan is fit to drive."""

    def __init__(self) -> None:
        self._points: dict[tuple[int, int], tuple[float, float, int]] = {}  # cell -> x m, y m, when it was seen

    def see(self, observation: Observation) -> None:
        """Remember where the rays end, and forget what is old or was passed."""
        at_x, at_y, now_us = observation.x_m, observation.y_m, observation.t_us
        for range_m, bearing in zip(observation.ranges_m, RANGE_BEARINGS_RAD, strict=True):
            if range_m is None or range_m + BODY_M > SEEN_M:
                continue
            angle = observation.heading_rad + bearing
            x = at_x + (range_m + BODY_M) * math.cos(angle)
            y = at_y + (range_m + BODY_M) * math.sin(angle)
            self._points[round(x / CELL_M), round(y / CELL_M)] = x, y, now_us
        self._points = {
            cell: point
            for cell, point in self._points.items()
            if now_us - point[2] <= REMEMBER_US and math.hypot(point[0] - at_x, point[1] - at_y) <= SEEN_M
        }

    def command(self, observation: Observation, goal: Goal) -> WheelCommand:
        """Towards the goal from the newest observation.

        Blind, it stands; almost touching, it backs off. Otherwise it takes the free direction nearest to the goal's:
        turning on the spot while something is before its nose, else driving, slower the nearer the next thing ahead.
        """
        seen = [(r, b) for r, b in zip(observation.ranges_m, RANGE_BEARINGS_RAD, strict=True) if r is not None]
        ahead_m = min((r for r, b in seen if abs(b) <= AHEAD_RAD), default=None)
        if len(observation.ranges_m) - len(seen) >= BLIND_READINGS or ahead_m is None:
            return STANDSTILL
        rear_m = min((r for r, b in seen if abs(b) > math.pi / 2 + 0.1), default=0.0)
        if ahead_m < TOUCHING_M < rear_m:
            return WheelCommand(-CRUISE / 2, -CRUISE / 2)
        points = [
            (
                math.hypot(x - observation.x_m, y - observation.y_m),
                math.atan2(y - observation.y_m, x - observation.x_m) - observation.heading_rad,
            )
            for x, y, _ in self._points.values()
        ]
        wanted = math.atan2(goal.y_m - observation.y_m, goal.x_m - observation.x_m) - observation.heading_rad
        direction = _direction(points, math.remainder(wanted, math.tau), goal.distance_m(observation))
        way_m = _way_m(points, 0.0)
        if way_m < NEAR_M and abs(direction) > math.radians(5):
            side = math.copysign(TURN, direction)
            return WheelCommand(-side, side)
        speed = CRUISE * min(1.0, max(way_m, 0.0) / (2 * NEAR_M)) * max(0.0, math.cos(direction))
        turn = max(-TURN, min(TURN, direction))
        return WheelCommand(speed - turn, speed + turn)


def _direction(points: list[tuple[float, float]], wanted: float, goal_m: float) -> float:
    """The direction to take: the goal's if it is free, else the best of the fan; the longest way if none is free."""
    enough_m = min(NEAR_M, goal_m - BODY_M)  # a goal before a wall is free up to the goal
    if _way_m(points, wanted) >= enough_m:
        return wanted
    free = [angle for angle in FAN_RAD if _way_m(points, angle) >= NEAR_M]
    if not free:
        return max(FAN_RAD, key=lambda angle: _way_m(points, angle))
    return min(free, key=lambda angle: abs(math.remainder(angle - wanted, math.tau)) + DETOUR * abs(angle))


def _way_m(points: list[tuple[float, float]], direction: float) -> float:
    """How far the robot gets in a direction before it meets a point (distance from the centre, bearing)."""
    along = (
        distance_m * math.cos(bearing - direction)
        for distance_m, bearing in points
        if abs(distance_m * math.sin(bearing - direction)) < BESIDE_M
    )
    return min((way_m for way_m in along if way_m > 0.0), default=math.inf) - BODY_M
