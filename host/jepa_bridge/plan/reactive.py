"""What drives when the model is not to be trusted: slowly, along the free direction nearest to the goal's.

A cut-down vector field histogram (Borenstein and Koren, 1991): each ray's end is a point to keep away from, and of a
fan of directions those count as free that lead past all points. Going back to the goal's direction only once that is
free is what keeps the robot from turning to and fro before an obstacle.
"""

from __future__ import annotations

import math

from jepa_bridge.types import RANGE_BEARINGS_RAD, STANDSTILL, Goal, Observation, WheelCommand

CRUISE = 0.35  # of full speed: slow enough to stop within the nearest range that counts
TURN = 0.3
NEAR_M = 0.40  # a direction with less way than this is not free
TOUCHING_M = 0.12  # with less than this before the nose it backs off
BESIDE_M = 0.22  # from the robot's centre: what is further off a line than this is passed
BODY_M = 0.10  # from the centre to the rim, where ranges begin
AHEAD_RAD = math.radians(50)  # sensors within this of the nose see what the robot would drive into
FAN_RAD = tuple(math.radians(degrees) for degrees in range(-120, 121, 15))
DETOUR = 0.3  # what turning away from the nose costs, beside turning away from the goal
ROOMIER = 0.1  # what a metre more room on that side is worth, in radians: decides when both sides are alike
BLIND_READINGS = 5  # with this many sensors silent the robot stands still


def reactive(observation: Observation, goal: Goal) -> WheelCommand:
    """A command from one observation alone.

    Blind, it stands; almost touching, it backs off. Otherwise it takes the free direction nearest to the goal's:
    turning on the spot while something is before its nose, else driving, slower the nearer the next thing ahead.
    """
    seen = [(r + BODY_M, b) for r, b in zip(observation.ranges_m, RANGE_BEARINGS_RAD, strict=True) if r is not None]
    ahead_m = min((r for r, b in seen if abs(b) <= AHEAD_RAD), default=None)
    if len(observation.ranges_m) - len(seen) >= BLIND_READINGS or ahead_m is None:
        return STANDSTILL
    rear_m = min((r for r, b in seen if abs(b) > math.pi / 2 + 0.1), default=0.0)
    if ahead_m < TOUCHING_M + BODY_M < rear_m:
        return WheelCommand(-CRUISE / 2, -CRUISE / 2)
    wanted = math.atan2(goal.y_m - observation.y_m, goal.x_m - observation.x_m) - observation.heading_rad
    wanted = math.atan2(math.sin(wanted), math.cos(wanted))
    direction = _direction(seen, wanted)
    way_m = _way_m(seen, 0.0)
    if way_m < NEAR_M:
        side = math.copysign(TURN, direction if direction else wanted)
        return WheelCommand(-side, side)
    speed = CRUISE * min(1.0, way_m / (2 * NEAR_M)) * max(0.0, math.cos(direction))
    turn = max(-TURN, min(TURN, direction))
    return WheelCommand(speed - turn, speed + turn)


def _direction(seen: list[tuple[float, float]], wanted: float) -> float:
    """The direction to take: the goal's if it is free, else the best of the fan; the roomiest if none is free."""
    if _way_m(seen, wanted) >= NEAR_M:
        return wanted
    room_m = {1.0: _room_m(seen, 1.0), -1.0: _room_m(seen, -1.0)}
    free = [angle for angle in FAN_RAD if _way_m(seen, angle) >= NEAR_M]
    if not free:
        return max(FAN_RAD, key=lambda angle: (_way_m(seen, angle), room_m[math.copysign(1.0, angle)]))

    def price(angle: float) -> float:
        return abs(angle - wanted) + DETOUR * abs(angle) - ROOMIER * room_m[math.copysign(1.0, angle)]

    return min(free, key=price)


def _way_m(seen: list[tuple[float, float]], direction: float) -> float:
    """How far the robot gets in a direction before it meets the end of a ray (distance from the centre, bearing)."""
    ends = ((r * math.cos(b - direction), r * math.sin(b - direction)) for r, b in seen)
    return min((along for along, aside in ends if along > 0.0 and abs(aside) < BESIDE_M), default=math.inf) - BODY_M


def _room_m(seen: list[tuple[float, float]], side: float) -> float:
    """The longest ray on the left (1) or right (-1)."""
    return max((r for r, b in seen if 0.0 < b * side < math.pi), default=0.0)
