"""The fallback: slow, away from the nearest obstacle, standing when blind."""

from __future__ import annotations

import dataclasses
import math

import pytest

from jepa_bridge.plan.reactive import BLIND_READINGS, CRUISE, REMEMBER_US, TURN, Reactive
from jepa_bridge.types import RANGE_NAMES, STANDSTILL, Goal, Observation, WheelCommand


def seen(heading_rad: float = 0.0, **ranges: float | None) -> Observation:
    values = tuple(ranges.get(name, 2.0) for name in RANGE_NAMES)
    return Observation(0, 0, values, 1.0, 1.0, heading_rad)


def reactive(observation: Observation, goal: Goal) -> WheelCommand:
    fallback = Reactive()
    fallback.see(observation)
    return fallback.command(observation, goal)


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
    command = reactive(seen(**{obstacle: 0.14}), AHEAD)
    assert (command.right > command.left) is turns_left
    assert command.left == -command.right


@pytest.mark.parametrize(("freer", "turns_left"), [("Left", True), ("Right", False)])
def test_an_obstacle_dead_ahead_is_passed_on_the_free_side(freer, turns_left):
    closed = "Right" if turns_left else "Left"
    command = reactive(seen(front=0.2, **{f"front{closed}": 0.15, closed.lower(): 0.15}), AHEAD)
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


def test_an_obstacle_that_no_ray_meets_any_more_is_still_there_for_some_seconds():
    fallback = Reactive()
    fallback.see(seen(front=0.15))
    turned = seen(math.radians(-20))  # the rays look past it on both sides now
    fallback.see(turned)
    command = fallback.command(turned, AHEAD)
    assert command.left == -command.right  # on the spot: straight on would touch it
    late = dataclasses.replace(turned, t_us=REMEMBER_US + 1)
    fallback.see(late)
    assert fallback.command(late, AHEAD).right > 0 < fallback.command(late, AHEAD).left


def test_what_it_remembers_is_bounded():
    fallback = Reactive()
    for step in range(2000):  # turning on the spot between walls for 40 s
        fallback.see(dataclasses.replace(seen(step * 0.1, **dict.fromkeys(RANGE_NAMES, 0.5)), t_us=step * 20_000))
    assert len(fallback._points) < 200
