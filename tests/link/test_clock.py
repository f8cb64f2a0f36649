"""Unwrapping, the offset's error bound, and the scaled clock."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepa_bridge.link.clock import DRIFT_PPM, EXCHANGES_KEPT, TICKS_PERIOD_US, Clock, ClockSync, TickUnwrapper


@given(st.integers(0, TICKS_PERIOD_US - 1), st.lists(st.integers(0, TICKS_PERIOD_US // 2 - 1), max_size=30))
def test_unwrapped_time_follows_the_true_time_over_wraps(start: int, steps: list[int]) -> None:
    unwrapper = TickUnwrapper()
    true_us = start
    assert unwrapper.unwrap(start) == start
    for step in steps:
        true_us += step
        assert unwrapper.unwrap(true_us % TICKS_PERIOD_US) == true_us


def test_an_earlier_time_is_told_and_does_not_move_the_unwrapper_back() -> None:
    unwrapper = TickUnwrapper()
    unwrapper.unwrap(TICKS_PERIOD_US - 10)
    assert unwrapper.unwrap(5) == TICKS_PERIOD_US + 5
    assert unwrapper.near(TICKS_PERIOD_US - 20) == TICKS_PERIOD_US - 20
    assert unwrapper.unwrap(TICKS_PERIOD_US - 20) == TICKS_PERIOD_US - 20
    assert unwrapper.unwrap(6) == TICKS_PERIOD_US + 6


delays = st.integers(0, 200_000)


@given(
    st.integers(-(1 << 40), 1 << 40),
    st.floats(-DRIFT_PPM, DRIFT_PPM),
    st.lists(st.tuples(delays, delays, delays), min_size=1, max_size=40),
)
def test_the_true_offset_always_lies_within_the_bound(
    offset_us: int, drift_ppm: float, exchanges: list[tuple[int, int, int]]
) -> None:
    """However unequal the two ways are, and while the clocks drift apart as far as is allowed for."""
    sync = ClockSync()
    host_us = 1_000_000

    def device(at_us: int) -> int:
        return at_us + offset_us + int((at_us - 1_000_000) * drift_ppm / 1e6)

    for there, thinking, back in exchanges:
        t1 = host_us
        t2 = t1 + there
        t3 = t2 + thinking
        t4 = t3 + back
        sync.add(t1, device(t2), device(t3), t4)
        host_us = t4 + 1_000_000
        assert (
            abs(sync.device_now(host_us) - device(host_us)) <= sync.bound_us(host_us) + 2 * thinking * DRIFT_PPM / 1e6
        )


def test_the_lowest_round_trip_of_the_last_16_wins() -> None:
    sync = ClockSync()
    sync.add(0, 500, 500, 1000)
    for i in range(EXCHANGES_KEPT - 1):
        t1 = 10_000 * (i + 1)
        sync.add(t1, t1 + 9_000, t1 + 9_000, t1 + 10_000)
    assert (sync.offset_us, sync.round_trip_us, sync.exchanges) == (0, 1000, EXCHANGES_KEPT)
    sync.add(900_000, 909_000, 909_000, 910_000)  # the good one is the 17th last now
    assert (sync.offset_us, sync.round_trip_us) == (4000, 10_000)


def test_the_bound_grows_with_age_and_is_hopeless_without_an_exchange() -> None:
    sync = ClockSync()
    assert sync.bound_us(0) > 1_000_000
    sync.add(0, 500, 500, 1000)
    assert sync.bound_us(1000) == 503
    assert sync.bound_us(1000 + 10_000_000) == 503 + 10 * DRIFT_PPM


def test_what_is_no_exchange_is_not_taken() -> None:
    sync = ClockSync()
    sync.add(100, 5, 5, 50)
    sync.add(0, 10, 5, 100)
    sync.add(0, 0, 500, 100)
    assert sync.exchanges == 0


@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_the_clock_runs_at_its_scale(scale: float) -> None:
    clock = Clock(scale)
    start_us, start_s = clock.now_us(), time.monotonic()
    clock.sleep_until(start_us + int(50_000 * scale))
    real_us = (time.monotonic() - start_s) * 1e6
    passed_us = clock.now_us() - start_us
    assert real_us >= 50_000
    assert real_us * scale <= passed_us + 5000 * scale
    assert passed_us <= (time.monotonic() - start_s) * 1e6 * scale + 1000
    clock.sleep_until(start_us)  # passed: returns at once
    event = threading.Event()
    assert not clock.wait(event, int(1000 * scale))
    event.set()
    assert clock.wait(event, 1 << 40)


def test_a_clock_cannot_stand_still() -> None:
    with pytest.raises(ValueError, match="above 0"):
        Clock(0)
