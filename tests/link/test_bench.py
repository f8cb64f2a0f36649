"""The measurements measure; how fast things are is for `jepa-bridge bench link` to say, not for a test."""

from __future__ import annotations

import importlib.util

import pytest

from jepa_bridge.link.bench import decode_rate, delay, loss

needs_twin = pytest.mark.skipif(importlib.util.find_spec("mujoco") is None, reason="the twin needs mujoco")


def test_a_whole_frame_costs_more_than_its_cbor_alone() -> None:
    measured = decode_rate(0.2)
    assert measured.frames_per_s > 0
    assert measured.cost_ratio > 1


@needs_twin
def test_the_real_firmware_is_answered() -> None:
    measured = delay(seconds=2.0)
    assert measured.samples >= 50
    assert 0 < measured.p50_us <= measured.p99_us <= measured.max_us


@needs_twin
def test_no_frame_is_lost_between_the_real_firmware_and_the_host() -> None:
    measured = loss(seconds=2.0)
    assert measured.from_robot >= 80
    assert measured.to_robot >= 30
    assert (measured.from_robot_lost, measured.to_robot_lost, measured.bad) == (0, 0, 0)
