"""The fallback: slow, away from the nearest obstacle, standing when blind."""

from __future__ import annotations

import math

import pytest

from jepa_bridge.plan.reactive import BLIND_READINGS, CRUISE, TURN, reactive
from jepa_bridge.types import RANGE_NAMES, STANDSTILL, Goal, Observation


def seen(heading_rad: float = 0.0, **ranges: float | None) -> Observation:
    values = tuple(ranges.get(name, 2.0) for name in RANGE_NAMES)
    return Observation(0, 0, values, 1.0, 1.0, heading_rad)


AHEAD, LEFT = Goal(4.0, 1.0), Goal(1.0, 4.0)


def test_drives_slowly_towards_a_free_goal():
    command = reactive(seen(), AHEAD)
    assert command.left == command.right == pytest.approx(CRUISE)


def test_turns_towards_a_goal_beside_it():
    command = reactive(seen(), LEFT)
    assert command.left == pytest.approx(-TURN)
    assert command.right == pytest.approx(TURN)


@pytest.mark.parametrize(("obstacle", "turns_left"), [("frontLeft", False), ("frontRight", True)])
def test_turns_away_from_the_nearest_obstacle(obstacle, turns_left):
    command = reactive(seen(**{obstacle: 0.2}), AHEAD)
    assert (command.right > command.left) is turns_left
    assert command.left == -command.right


@pytest.mark.parametrize(("freer", "turns_left"), [("left", True), ("right", False)])
def test_an_obstacle_dead_ahead_is_passed_on_the_freer_side(freer, turns_left):
    sides = {name: 0.5 for name in RANGE_NAMES if name != "front"} | {freer: 1.5}
    command = reactive(seen(front=0.3, **sides), AHEAD)
    assert (command.right > command.left) is turns_left


def test_backs_off_when_it_almost_touches_and_the_rear_is_free():
    command = reactive(seen(front=0.05), AHEAD)
    assert command.left < 0 > command.right


def test_stands_when_blind():
    silent = dict.fromkeys(RANGE_NAMES[:BLIND_READINGS])
    assert reactive(seen(**silent), AHEAD) == STANDSTILL
    assert reactive(seen(front=None, frontLeft=None, frontRight=None), AHEAD) == STANDSTILL


def test_slows_down_before_an_obstacle():
    assert 0 < reactive(seen(front=0.5), AHEAD).left < CRUISE


def test_never_exceeds_the_wheel_range():
    for heading in range(0, 360, 15):
        for front in (0.05, 0.3, 0.6, 2.0):
            command = reactive(seen(math.radians(heading), front=front), LEFT)
            assert max(abs(command.left), abs(command.right)) <= 1.0
