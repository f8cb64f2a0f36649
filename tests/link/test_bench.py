"""The measurements measure, and decoding is as fast as promised."""

from __future__ import annotations

import importlib.util

import pytest

from jepa_bridge.link.bench import decode_rate, delay, loss

needs_twin = pytest.mark.skipif(importlib.util.find_spec("mujoco") is None, reason="the twin needs mujoco")


def test_at_least_20000_sensor_frames_a_second_on_one_core() -> None:
    assert max(decode_rate(0.4).frames_per_s for _ in range(3)) >= 20_000


@needs_twin
def test_the_real_firmware_is_answered_promptly() -> None:
    measured = delay(seconds=2.0)
    assert measured.samples >= 50
    assert 0 < measured.p50_us < 20_000  # a third of a millisecond on an idle machine
    assert measured.p50_us <= measured.p99_us <= measured.max_us


@needs_twin
def test_no_frame_is_lost_between_the_real_firmware_and_the_host() -> None:
    measured = loss(seconds=2.0)
    assert measured.from_robot >= 80
    assert measured.to_robot >= 30
    assert (measured.from_robot_lost, measured.to_robot_lost, measured.bad) == (0, 0, 0)
