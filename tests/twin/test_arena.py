"""Arenas: free starts, reachable goals, seeds that matter."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jepa_bridge.errors import BridgeError
from jepa_bridge.twin import robot
from jepa_bridge.twin.arena import ARENAS, PASSAGE_M, USUAL_GOAL_M, make_arena

SEEDS = range(12)


@pytest.mark.parametrize("name", ARENAS)
def test_start_and_usual_goal_are_free_and_joined(name):
    for seed in SEEDS:
        arena = make_arena(name, seed)
        assert arena.clearance(*arena.start_pose[:2]) > 0.05
        assert arena.clearance(*USUAL_GOAL_M) > 0.05
        straight_m = math.dist(arena.start_pose[:2], USUAL_GOAL_M)
        assert straight_m > 3.0
        assert straight_m <= arena.path_length(arena.start_pose, USUAL_GOAL_M) < 3 * straight_m


@pytest.mark.parametrize("name", ARENAS)
def test_every_free_place_can_be_reached(name):
    for seed in SEEDS[:4]:
        arena = make_arena(name, seed)
        reach_m = arena.distances_from(*arena.start_pose[:2])
        rng = np.random.default_rng(seed)
        for _ in range(100):
            x_m, y_m, _ = arena.sample_free_pose(rng, 0.1)
            assert math.isfinite(reach_m[int(x_m / 0.05), int(y_m / 0.05)]), (seed, x_m, y_m)


@pytest.mark.parametrize("name", ARENAS)
def test_goals_keep_their_distance(name):
    arena = make_arena(name, 1)
    rng = np.random.default_rng(0)
    for _ in range(20):
        goal = arena.sample_goal(rng, arena.start_pose, 2.0)
        assert math.dist(goal, arena.start_pose[:2]) >= 2.0
        assert arena.clearance(*goal) >= 0.1


def test_no_goal_so_far_away():
    arena = make_arena("open", 0)
    with pytest.raises(BridgeError, match="no reachable place"):
        arena.sample_goal(np.random.default_rng(0), arena.start_pose, 20.0)


@pytest.mark.parametrize("name", ARENAS)
def test_a_seed_is_an_arena(name):
    assert make_arena(name, 5) == make_arena(name, 5)
    assert len({make_arena(name, seed).start_pose for seed in SEEDS}) == len(SEEDS)


def test_seeds_move_the_obstacles():
    assert len({make_arena("cluttered", seed).cylinders for seed in SEEDS}) == len(SEEDS)
    assert len({make_arena("doorway", seed).walls for seed in SEEDS}) == len(SEEDS)


def test_cylinders_leave_ways_between_them():
    for seed in SEEDS:
        cylinders = make_arena("cluttered", seed).cylinders
        assert len(cylinders) == 5
        for i, one in enumerate(cylinders):
            for other in cylinders[i + 1 :]:
                gap_m = math.hypot(one.x_m - other.x_m, one.y_m - other.y_m) - one.radius_m - other.radius_m
                assert gap_m >= PASSAGE_M > 2 * robot.BODY_RADIUS_M


def test_the_door_is_the_only_way():
    arena = make_arena("doorway", 0)
    without_door = [wall for wall in arena.walls if 0.0 < wall.x_min_m < 4.9 and wall.x_max_m < 4.9]
    lower, upper = sorted(without_door, key=lambda wall: wall.y_min_m)
    assert upper.y_min_m - lower.y_max_m == pytest.approx(0.8)
    middle = (lower.x_min_m + lower.x_max_m) / 2, (lower.y_max_m + upper.y_min_m) / 2
    through_m = arena.path_length(arena.start_pose, middle) + arena.path_length(middle, USUAL_GOAL_M)
    assert arena.path_length(arena.start_pose, USUAL_GOAL_M) == pytest.approx(through_m, rel=0.15)


def test_a_straight_way_is_measured_exactly():
    assert make_arena("open", 0).path_length((1.0, 1.0), (4.0, 2.0)) == math.hypot(3.0, 1.0)


def test_a_place_inside_an_obstacle_has_no_way():
    arena = make_arena("cluttered", 0)
    inside = arena.cylinders[0]
    assert arena.path_length(arena.start_pose, (inside.x_m, inside.y_m)) == math.inf


def test_unknown_names_are_told_the_known_ones():
    with pytest.raises(BridgeError) as caught:
        make_arena("maze", 0)
    assert caught.value.code == "unknown-arena"
    assert all(name in caught.value.hint for name in ARENAS)
