"""The body: rolls as a differential drive should, stops at walls, sees what geometry says."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("mujoco")

from jepa_bridge.twin import robot
from jepa_bridge.twin.arena import Cylinder, make_arena
from jepa_bridge.twin.episode import EpisodeSim
from jepa_bridge.twin.physics import Physics
from jepa_bridge.twin.randomise import Randomisation
from jepa_bridge.types import RANGE_BEARINGS_RAD, RANGE_NAMES

MIDDLE = (2.5, 2.5, 0.0)


def physics_at(pose, name="open", seed=0, **options):
    physics = Physics(make_arena(name, seed), **options)
    physics.reset(pose)
    return physics


def turned_rad(physics, seconds):
    """Heading change, unwrapped: sampled every 50 ms."""
    total_rad, last_rad = 0.0, physics.true_pose[2]
    for _ in range(round(seconds / 0.05)):
        physics.advance(0.05)
        now_rad = physics.true_pose[2]
        total_rad += math.remainder(now_rad - last_rad, 2 * math.pi)
        last_rad = now_rad
    return total_rad


@pytest.mark.parametrize("output", [1.0, 0.5, -0.5])
def test_drives_straight_at_its_speed(output):
    physics = physics_at(MIDDLE)
    physics.set_wheels(output, output)
    physics.advance(1.0)
    x0_m = physics.true_pose[0]
    physics.advance(2.0)
    x_m, y_m, heading_rad = physics.true_pose
    assert (x_m - x0_m) / 2.0 == pytest.approx(output * robot.WHEEL_SPEED_MAX_M_S, rel=0.005)
    assert (y_m, heading_rad) == pytest.approx((2.5, 0.0), abs=1e-3)


def test_the_motor_lags_by_its_time_constant():
    physics = physics_at(MIDDLE)
    physics.set_wheels(1.0, 1.0)
    physics.advance(robot.MOTOR_LAG_S)
    assert physics.wheel_speeds_m_s[0] == pytest.approx((1 - math.exp(-1)) * 0.5, rel=0.15)


def test_turns_in_place_by_what_its_wheels_say():
    physics = physics_at(MIDDLE)
    physics.set_wheels(-0.5, 0.5)
    turned = turned_rad(physics, 4.0)
    assert turned == pytest.approx(4.0 * 0.5 / robot.TRACK_M, rel=0.04)  # less what the lag costs at the start
    left, right = physics.encoder_ticks
    assert turned == pytest.approx((right - left) / robot.TICKS_PER_METRE / robot.TRACK_M, rel=0.002)
    assert physics.true_pose[:2] == pytest.approx(MIDDLE[:2], abs=0.02)


def test_left_wheel_faster_turns_right():
    physics = physics_at(MIDDLE)
    physics.set_wheels(1.0, 0.5)
    assert turned_rad(physics, 0.5) < -0.1


def test_encoders_count_the_way():
    physics = physics_at(MIDDLE)
    physics.set_wheels(0.6, 0.6)
    physics.advance(3.0)
    way_m = physics.true_pose[0] - 2.5
    assert physics.encoder_ticks == pytest.approx((way_m * 3000, way_m * 3000), abs=4)


def test_a_wall_stops_it():
    physics = physics_at((4.0, 2.5, 0.0))
    physics.set_wheels(1.0, 1.0)
    assert not physics.in_contact
    for _ in range(20):
        physics.advance(0.2)
        assert physics.true_pose[0] < 5.0 - robot.BODY_RADIUS_M + 0.005
    assert physics.in_contact
    assert physics.ranges_m()[0] == pytest.approx(0.0, abs=0.005)
    physics.set_wheels(-1.0, -1.0)
    physics.advance(1.0)
    assert not physics.in_contact


def test_a_cylinder_stops_it_and_is_seen():
    arena = make_arena("cluttered", 2)
    cylinder = arena.cylinders[0]
    x_m = cylinder.x_m - cylinder.radius_m - robot.BODY_RADIUS_M - 0.2
    physics = physics_at((x_m, cylinder.y_m, 0.0), "cluttered", 2)
    assert physics.ranges_m()[0] == pytest.approx(0.2, abs=1e-6)
    physics.set_wheels(0.5, 0.5)
    physics.advance(2.0)
    assert physics.in_contact


def test_ranges_are_the_distances_to_the_walls():
    rng = np.random.default_rng(0)
    physics = physics_at(MIDDLE)
    for _ in range(50):
        x_m, y_m, heading_rad = pose = physics.arena.sample_free_pose(rng)
        physics.reset(pose)
        expected = []
        for bearing_rad in RANGE_BEARINGS_RAD:
            cosine, sine = math.cos(heading_rad + bearing_rad), math.sin(heading_rad + bearing_rad)
            along_x = ((5.0 if cosine > 0 else 0.0) - x_m) / cosine
            along_y = ((5.0 if sine > 0 else 0.0) - y_m) / sine
            expected.append(min(min(along_x, along_y) - robot.BODY_RADIUS_M, robot.RANGE_MAX_M))
        assert physics.ranges_m() == pytest.approx(expected, abs=1e-6)


def test_every_sensor_looks_where_its_name_says():
    physics = physics_at((0.5, 2.5, math.pi))  # nose to the wall at x = 0
    ranges = dict(zip(RANGE_NAMES, physics.ranges_m(), strict=True))
    assert ranges["front"] == pytest.approx(0.4)
    assert ranges["frontLeft"] == pytest.approx(ranges["frontRight"]) == pytest.approx(math.sqrt(0.5) - 0.1)
    assert ranges["back"] == ranges["backLeft"] == ranges["left"] == 2.0
    physics.reset((0.5, 2.5, math.pi / 2))  # the wall on its left
    ranges = dict(zip(RANGE_NAMES, physics.ranges_m(), strict=True))
    assert ranges["left"] == pytest.approx(0.4)
    assert ranges["right"] == 2.0


def test_clearance_agrees_with_contact():
    arena = make_arena("cluttered", 4)
    physics = Physics(arena)
    cylinder: Cylinder = arena.cylinders[1]
    for gap_m in (-0.01, 0.01):
        x_m = cylinder.x_m + cylinder.radius_m + robot.BODY_RADIUS_M + gap_m
        physics.reset((x_m, cylinder.y_m, 0.0))
        assert arena.clearance(x_m, cylinder.y_m) == pytest.approx(gap_m)
        assert physics.in_contact == (gap_m < 0)


@pytest.mark.parametrize("name", ["open", "cluttered", "doorway"])
def test_wild_driving_keeps_it_on_the_floor(name):
    sim = EpisodeSim(name, 3, Randomisation.sample(np.random.default_rng(1)))
    rng = np.random.default_rng(2)
    for _ in range(6):
        sim.reset(sim.arena.sample_free_pose(rng))
        for _ in range(30):
            state = sim.step(*rng.choice([-1.0, 1.0], 2))
            x_m, y_m, _ = state.true_pose
            assert sim.arena.clearance(x_m, y_m) > -0.01
            assert np.nanmax(state.ranges_m) <= robot.RANGE_MAX_M


def test_equal_seeds_give_equal_episodes():
    def episode():
        sim = EpisodeSim("cluttered", 7, Randomisation.sample(np.random.default_rng(7)))
        rng = np.random.default_rng(0)
        return [sim.step(*rng.uniform(-1, 1, 2)) for _ in range(30)]

    for one, other in zip(episode(), episode(), strict=True):
        np.testing.assert_array_equal(one.ranges_m, other.ranges_m)
        assert (one.pose, one.true_pose, one.contact) == (other.pose, other.true_pose, other.contact)


def test_reset_forgets_everything():
    sim = EpisodeSim("open", 0)
    first = [sim.step(0.7, 0.3).true_pose for _ in range(5)]
    sim.reset()
    assert [sim.step(0.7, 0.3).true_pose for _ in range(5)] == first


def test_odometry_follows_the_truth():
    sim = EpisodeSim("open", 0)
    state = sim.reset((1.5, 1.5, 3.0))
    assert state.pose == pytest.approx(state.true_pose)
    for left, right in [(1.0, 0.8)] * 10 + [(0.2, 0.8)] * 10 + [(-0.4, 0.4)] * 5:
        state = sim.step(left, right)
        assert -math.pi < state.pose[2] <= math.pi
        assert not state.contact
    assert math.dist(state.pose[:2], state.true_pose[:2]) < 0.01
    assert math.remainder(state.pose[2] - state.true_pose[2], 2 * math.pi) == pytest.approx(0.0, abs=0.03)


def test_contact_is_told_even_if_it_was_brief():
    sim = EpisodeSim("open", 0)
    sim.reset((4.85, 2.5, 0.0))
    assert any(sim.step(1.0, 1.0).contact for _ in range(3))
    for _ in range(5):
        state = sim.step(-1.0, -1.0)
    assert not state.contact


def test_a_randomised_robot_deviates():
    spread = Randomisation(left_gain=1.1, right_gain=0.9, left_tick_scale=1.02)
    physics = physics_at(MIDDLE, randomisation=spread)
    physics.set_wheels(0.5, 0.5)
    physics.advance(2.0)
    assert physics.true_pose[2] < -0.1
    left, right = physics.encoder_ticks
    assert left > right

    noisy = physics_at(MIDDLE, randomisation=Randomisation(range_noise_m=0.01, range_dropout=0.3))
    noisy.reset((1.0, 1.0, 0.0))
    readings = np.array([noisy.ranges_m() for _ in range(300)])
    assert np.isnan(readings).mean() == pytest.approx(0.3, abs=0.05)
    assert np.nanstd(readings[:, 7]) == pytest.approx(0.01, rel=0.2)
    assert np.nanmax(readings) <= robot.RANGE_MAX_M


def test_time_adds_up_whatever_the_slices():
    physics = physics_at(MIDDLE)
    for _ in range(1000):
        physics.advance(0.0013)
    assert physics.time_s == pytest.approx(1.3, abs=0.005)
