import numpy as np
import pytest

from jepa_bridge.plan.mppi import MppiConfig
from jepa_bridge.plan.sampling import PROPOSALS, candidates, draw, reachable
from jepa_bridge.types import Observation

CONFIG = MppiConfig()


def moving(left_m_s, right_m_s):
    return Observation(0, 0, (2.0,) * 8, 1.0, 1.0, 0.0, left_m_s, right_m_s)


def test_a_draw_is_a_function_of_seed_and_index():
    first, again = draw(CONFIG, 3, 7), draw(CONFIG, 3, 7)
    assert first.offsets.tobytes() == again.offsets.tobytes()
    assert first.keep.tobytes() == again.keep.tobytes()
    assert not np.array_equal(first.offsets, draw(CONFIG, 3, 8).offsets)
    assert not np.array_equal(first.offsets, draw(CONFIG, 4, 7).offsets)


def test_fewer_iterations_are_the_first_of_the_same_draw():
    whole, short = draw(CONFIG, 3, 7), draw(CONFIG, 3, 7).first(2)
    np.testing.assert_array_equal(short.offsets, whole.offsets[:2])
    np.testing.assert_array_equal(short.keep, whole.keep[:2])


def test_the_nominal_and_the_proposals_are_among_the_candidates():
    nominal = np.linspace(-0.9, 0.9, 20, dtype=np.float32).reshape(10, 2)
    samples, anything = draw(CONFIG, 0, 0), reachable(MppiConfig(slew=2.0), moving(0.0, 0.0))
    first = candidates(samples, 0, nominal, anything)
    assert first.shape == (64, 10, 2)
    np.testing.assert_array_equal(first[0], nominal)
    np.testing.assert_array_equal(first[1 : 1 + len(PROPOSALS)], np.repeat(PROPOSALS[:, None], 10, axis=1))
    np.testing.assert_array_equal(candidates(samples, 4, nominal, anything)[0], nominal)
    assert np.abs(first).max() <= 1.0


def test_a_step_is_within_what_the_wheels_can_do_from_their_speed():
    lowest, highest = reachable(MppiConfig(slew=0.25), moving(0.25, -0.5))
    np.testing.assert_allclose(highest[:3], [[0.75, -0.75], [1.0, -0.5], [1.0, -0.25]])
    np.testing.assert_allclose(lowest[:3], [[0.25, -1.0], [0.0, -1.0], [-0.25, -1.0]])
    samples, nominal = draw(CONFIG, 0, 0), np.zeros((10, 2), np.float32)
    tried = candidates(samples, 0, nominal, np.stack((lowest, highest)))
    assert (tried >= lowest).all()
    assert (tried <= highest).all()


def test_a_wheel_that_overspeeds_can_still_be_commanded():
    lowest, highest = reachable(MppiConfig(slew=0.25), moving(0.9, -0.9))
    np.testing.assert_allclose(highest[0], [1.0, -0.75])
    np.testing.assert_allclose(lowest[0], [0.75, -1.0])


def test_without_a_limit_everything_can_be_reached():
    np.testing.assert_array_equal(reachable(MppiConfig(slew=2.0), moving(0.5, -0.5)), [[[-1, -1]] * 10, [[1, 1]] * 10])


def test_few_samples_leave_out_proposals():
    config = MppiConfig(samples=3)
    assert draw(config, 0, 0).keep[0].tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("iteration", [0, 3])
def test_noise_has_the_asked_deviation_and_correlation(iteration):
    config = MppiConfig(samples=4000)
    noise = draw(config, 0, 0).offsets[iteration, 1 + len(PROPOSALS) :]
    np.testing.assert_allclose(noise.std(axis=0), config.std * config.std_decay**iteration, rtol=0.05)
    lagged = (noise[:, 1:] * noise[:, :-1]).mean() / np.square(noise).mean()
    assert lagged == pytest.approx(config.correlation, abs=0.02)
