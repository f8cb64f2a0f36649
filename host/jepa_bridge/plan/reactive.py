"""What drives when the model is not to be trusted: slowly, away from the nearest obstacle, towards the goal."""

from __future__ import annotations

import math

from jepa_bridge.types import RANGE_BEARINGS_RAD, STANDSTILL, Goal, Observation, WheelCommand

CRUISE = 0.35  # of full speed: slow enough to stop within the nearest range that counts
TURN = 0.3
NEAR_M = 0.40  # an obstacle nearer than this is turned away from before anything else
TOUCHING_M = 0.12  # ... and nearer than this in front is backed away from
AHEAD_RAD = math.radians(50)  # sensors within this of the nose see what the robot would drive into
BLIND_READINGS = 5  # with this many sensors silent the robot stands still


def reactive(observation: Observation, goal: Goal) -> WheelCommand:
    """A command from one observation alone.

    Blind, it stands. Near an obstacle it turns away on the spot, or backs off when it almost touches. Otherwise it
    turns towards the goal and drives slowly, slower the nearer the next thing ahead.
    """
    seen = [(r, b) for r, b in zip(observation.ranges_m, RANGE_BEARINGS_RAD, strict=True) if r is not None]
    ahead = [(r, b) for r, b in seen if abs(b) <= AHEAD_RAD]
    if len(observation.ranges_m) - len(seen) >= BLIND_READINGS or not ahead:
        return STANDSTILL
    ahead_m, ahead_bearing = min(ahead)
    rear_m = min((r for r, b in seen if abs(b) > math.pi / 2 + 0.1), default=0.0)
    if ahead_m < TOUCHING_M and rear_m > TOUCHING_M:
        return WheelCommand(-CRUISE / 2, -CRUISE / 2)
    if ahead_m < NEAR_M:
        # dead ahead: turn to the freer side, the left one when both are equal
        left_m = max((r for r, b in seen if b > 0), default=0.0)
        right_m = max((r for r, b in seen if b < 0), default=0.0)
        turn_left = ahead_bearing < 0 or (ahead_bearing == 0 and left_m >= right_m)
        return WheelCommand(-TURN, TURN) if turn_left else WheelCommand(TURN, -TURN)
    bearing = math.atan2(goal.y_m - observation.y_m, goal.x_m - observation.x_m) - observation.heading_rad
    bearing = math.atan2(math.sin(bearing), math.cos(bearing))
    speed = CRUISE * min(1.0, ahead_m / (2 * NEAR_M)) * max(0.0, math.cos(bearing))
    turn = max(-TURN, min(TURN, bearing))
    return WheelCommand(speed - turn, speed + turn)
