"""Clocks: the host's own, the device's unwrapped ticks, and the offset between the two with its error bound."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading

TICKS_PERIOD_US = 1 << 30  # the device's clock wraps here, about every 17.9 minutes
EXCHANGES_KEPT = 16
# Two crystals of 50 ppm each may part by 100 ppm: 1 ms in 10 s, added to the bound as an exchange ages.
DRIFT_PPM = 100
ROUNDING_US = 3  # the device's two stamps, the halved sum and the drift are each cut to whole microseconds
UNKNOWN_BOUND_US = 1 << 30  # no exchange yet: the offset may be anything


class Clock:
    """The host's monotonic clock in microseconds. Never wall time, which people and NTP set back.

    With `scale` 10 it runs ten times as fast as the wall's: a twin with speed=10 and its host then share one time, and
    every timer of the protocol keeps its meaning.
    """

    def __init__(self, scale: float = 1.0) -> None:
        if scale <= 0:
            raise ValueError(f"expected a scale above 0, got {scale}")
        self.scale = scale
        self._start_ns = time.monotonic_ns()

    def now_us(self) -> int:
        """Microseconds that never decrease; only differences have a meaning."""
        elapsed_ns = time.monotonic_ns() - self._start_ns
        return (self._start_ns + (elapsed_ns if self.scale == 1.0 else int(elapsed_ns * self.scale))) // 1000

    def real_s(self, duration_us: int) -> float:
        """How long `duration_us` of this clock takes on the wall, in seconds; 0 for what has passed."""
        return max(0.0, duration_us / 1e6 / self.scale)

    def sleep_until(self, us: int) -> None:
        """Return at `us` of this clock, at once if that has passed."""
        time.sleep(self.real_s(us - self.now_us()))

    def wait(self, event: threading.Event, timeout_us: int) -> bool:
        """Wait for the event at most `timeout_us` of this clock; True if it is set."""
        return event.wait(self.real_s(timeout_us))


class TickUnwrapper:
    """Turns the device's microseconds modulo 2^30 into an integer that goes on growing.

    Two calls of `unwrap` must lie less than half a period (8.9 minutes) apart; the session dies long before that.
    """

    def __init__(self) -> None:
        self._last: int | None = None

    def near(self, ticks: int) -> int:
        """The time nearest to the last one that shows as `ticks`; moves nothing."""
        if self._last is None:
            return ticks
        ahead = (ticks - self._last) % TICKS_PERIOD_US
        return self._last + (ahead if ahead < TICKS_PERIOD_US // 2 else ahead - TICKS_PERIOD_US)

    def unwrap(self, ticks: int) -> int:
        """The time that shows as `ticks`, and the point from which the next one is counted."""
        time_us = self.near(ticks)
        if self._last is None or time_us > self._last:
            self._last = time_us
        return time_us


@dataclass(frozen=True, slots=True)
class Exchange:
    """One TIME_SYNC and its ACK: device = host + offset, within half of the round trip."""

    offset_us: int
    round_trip_us: int
    host_us: int  # when it began


class ClockSync:
    """Estimates `device = host + offset`. The exchange with the lowest round trip among the last 16 wins.

    A slow exchange can only widen the bound, never move the estimate: whatever delayed it, the true offset lies within
    half of its round trip.
    """

    def __init__(self) -> None:
        self._exchanges: deque[Exchange] = deque(maxlen=EXCHANGES_KEPT)
        self._best: Exchange | None = None

    def add(self, t1: int, t2: int, t3: int, t4: int) -> None:
        """Sent at t1 and answered at t4 on the host's clock, received at t2 and replied at t3 on the device's (µs)."""
        round_trip_us = (t4 - t1) - (t3 - t2)
        if t4 < t1 or t3 < t2 or round_trip_us < 0:
            return  # not an exchange: a wrong pairing would break the bound's promise
        # dated to its start: the clocks drift apart during a slow exchange, too
        self._exchanges.append(Exchange(((t2 - t1) + (t3 - t4)) // 2, round_trip_us, t1))
        self._best = min(self._exchanges, key=lambda exchange: exchange.round_trip_us)

    @property
    def exchanges(self) -> int:
        """How many exchanges the estimate rests on."""
        return len(self._exchanges)

    @property
    def offset_us(self) -> int:
        """Device minus host; 0 before the first exchange."""
        return self._best.offset_us if self._best else 0

    @property
    def round_trip_us(self) -> int:
        """Of the winning exchange; UNKNOWN_BOUND_US before the first."""
        return self._best.round_trip_us if self._best else UNKNOWN_BOUND_US

    def bound_us(self, now_us: int) -> int:
        """How far the offset may be off at `now_us`: half the round trip, rounding, the drift since."""
        if self._best is None:
            return UNKNOWN_BOUND_US
        age_us = max(0, now_us - self._best.host_us)
        return (self._best.round_trip_us + 1) // 2 + ROUNDING_US + age_us * DRIFT_PPM // 1_000_000

    def device_now(self, host_us: int) -> int:
        """The device's unwrapped clock at the host's `host_us`."""
        return host_us + self.offset_us
