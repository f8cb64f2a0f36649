import math

import numpy as np
import pytest

from jepa_bridge.twin import robot
from jepa_bridge.twin.randomise import Randomisation


def test_a_robot_off_by_a_share_has_one_weak_wheel():
    robots = [Randomisation.off_by(0.25, np.random.default_rng(seed)) for seed in range(20)]
    assert {(each.left_gain, each.right_gain) for each in robots} == {(0.75, 1.0), (1.0, 0.75)}
    assert {each.motor_lag_s for each in robots} == {1.25 * robot.MOTOR_LAG_S}
    assert {round(each.range_scale, 6) for each in robots} == {0.95, 1.05}
    assert robots[0] == Randomisation.off_by(0.25, np.random.default_rng(0))


def test_a_range_scale_moves_readings_but_not_the_silence_beyond_reach():
    episode = pytest.importorskip("jepa_bridge.twin.episode", exc_type=Exception)
    pose = (1.0, 2.5, 0.0)
    true = episode.EpisodeSim("open", 0).reset(pose).ranges_m
    read = episode.EpisodeSim("open", 0, Randomisation(range_scale=0.9)).reset(pose).ranges_m
    assert math.isclose(true[-1], 0.9, abs_tol=1e-3)
    assert read == pytest.approx(np.where(true < 2.0, true * 0.9, 2.0))
