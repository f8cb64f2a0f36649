import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepa_bridge.types import Goal, Observation
from jepa_bridge.world.vector import UNKNOWN, goal_vector, observation_vector, pack, unpack, unpack_readout


def observation(ranges=(2.0,) * 8, x=0.0, y=0.0, heading=0.0):
    return Observation(0, 0, tuple(ranges), x, y, heading)


def test_the_contracts_numbers():
    vector = observation_vector(observation((0.0, 0.5, 1.0, 1.5, 2.0, 3.0, None, 0.02), 2.5, 5.0, math.pi / 2))
    assert vector.dtype == np.float32
    assert vector.tolist() == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1, -1, 0.01, 0.5, 1.0, 0.25])


def test_a_negative_heading_is_counted_from_zero_upwards():
    assert observation_vector(observation(heading=-math.pi / 2))[10] == pytest.approx(0.75)


@given(st.floats(-10.0, 10.0))
def test_heading_stays_below_one(heading):
    assert 0.0 <= observation_vector(observation(heading=heading))[10] < 1.0


def test_a_heading_a_hair_below_north_does_not_round_up_to_one():
    assert observation_vector(observation(heading=-1e-9))[10] == 0.0


def test_a_pose_only_goal_leaves_the_rest_unknown():
    assert goal_vector(Goal(1.0, 2.0)).tolist() == pytest.approx([UNKNOWN] * 8 + [0.2, 0.4, UNKNOWN])


def test_a_goal_may_know_some_ranges_and_the_heading():
    vector = goal_vector(Goal(1.0, 2.0, heading_rad=math.pi, ranges_m=(1.0, None) * 4))
    assert vector.tolist() == pytest.approx([0.5, UNKNOWN] * 4 + [0.2, 0.4, 0.5])


def test_a_position_is_never_unknown():
    with pytest.raises(ValueError, match="finite x and y"):
        observation_vector(observation(x=math.nan))


def test_seven_ranges_are_refused():
    with pytest.raises(ValueError, match="expected 8 ranges, got 7"):
        observation_vector(observation((1.0,) * 7))


def test_unpack_is_the_way_back():
    rng = np.random.default_rng(0)
    ranges, pose = rng.uniform(0, 2, (5, 8)), rng.uniform(-3, 3, (5, 3))
    ranges[1, 3] = np.nan
    pose[0, 0] = -5.0  # -1 in the vector, and yet a place
    back_ranges, back_pose = unpack(pack(ranges, pose))
    np.testing.assert_allclose(back_ranges, ranges, atol=1e-6)
    np.testing.assert_allclose(back_pose, pose, atol=1e-5)


def test_unpack_readout():
    ranges, pose = unpack_readout(np.array([0.5, -0.1, 1.2, 0, 0, 0, 0, 0, 0.2, 0.4, 0.0, 1.0], np.float32))
    assert ranges.tolist() == pytest.approx([1, 0, 2, 0, 0, 0, 0, 0])
    assert pose.tolist() == pytest.approx([1.0, 2.0, math.pi / 2])
