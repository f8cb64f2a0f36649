import math

import numpy as np
import pytest

from jepa_bridge.learn.drivers import StraightDriver
from jepa_bridge.learn.episodes import MAX_STEPS, drive, wheel_jerk, wheel_point_speed_m_s
from jepa_bridge.learn.heldout import MIN_DISTANCE_M, Task, draw_task
from jepa_bridge.twin.arena import make_arena

from .flat_sim import FlatArena, FlatSim, FlatState

TASK = Task((1.0, 2.5, 0.0), (3.0, 2.5), 2.0)


class Runaway(FlatSim):
    """Its wheels do not stop when told to."""

    def step(self, left, right):
        return super().step(*((left, right) if (left, right) != (0.0, 0.0) else (0.3, 0.3)))


class Spinning(Runaway):
    """... and turn it on the spot."""

    def step(self, left, right):
        return FlatSim.step(self, *((left, right) if (left, right) != (0.0, 0.0) else (0.3, -0.3)))


class Lost(FlatSim):
    """Its odometry is off sideways."""

    off_m = 0.4

    def _state(self, contact):
        state = super()._state(contact)
        x_m, y_m, heading_rad = state.pose
        return FlatState(state.ranges_m, (x_m, y_m + self.off_m, heading_rad), state.true_pose, contact)


def driven(sim, driver=None):
    return drive(sim("flat", 0), TASK, "straight", driver or StraightDriver())


def test_reached_is_to_stand_within_the_radius():
    result = driven(FlatSim)
    assert result.reached
    assert result.steps < MAX_STEPS
    assert result.path_m == pytest.approx(result.shortest_m, abs=0.15)
    assert result.contacts == 0


def test_to_run_through_the_goal_is_not_to_reach_it():
    result = driven(Runaway)
    assert not result.reached
    assert result.path_m > TASK.shortest_m


def test_to_spin_on_the_goal_is_not_to_stand():
    assert not driven(Spinning).reached


def test_the_truth_decides_and_not_the_odometry():
    assert not driven(Lost).reached


def test_a_driver_that_never_comes_near_has_not_reached():
    result = driven(FlatSim, lambda observation, goal, index: (0.0, 0.0))
    assert not result.reached
    assert result.steps == MAX_STEPS


def test_contacts_are_counted_by_their_beginnings():
    backwards = driven(FlatSim, lambda observation, goal, index: (-1.0, -1.0))
    assert backwards.contacts == 1


def test_who_spins_does_not_stand_still():
    assert wheel_point_speed_m_s((1, 1, 0), (1, 1, 0.5)) == pytest.approx(0.2)
    assert wheel_point_speed_m_s((1, 1, math.pi), (1.1, 1, -math.pi)) == pytest.approx(0.5)


def test_jerk_is_the_mean_squared_second_difference():
    assert wheel_jerk([(1.0, 1.0), (-1.0, 1.0), (1.0, 1.0)]) == 8.0  # 4 squared on one wheel of two
    assert wheel_jerk([(0.0, 0.5)] * 5) == 0.0
    assert wheel_jerk([(1.0, 1.0)]) == 0.0


@pytest.mark.parametrize("arena", [FlatArena(), make_arena("cluttered", 3)])
def test_no_start_lies_within_a_metre_of_its_goal(arena):
    rng = np.random.default_rng(0)
    for _ in range(20):
        task = draw_task(arena, rng, across=False)
        straight_m = math.dist(task.start[:2], task.goal_m)
        assert MIN_DISTANCE_M < straight_m <= task.shortest_m
