"""From a plan request to a plan, inline for replay and on a thread of its own for driving."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jepa_bridge.plan.mppi import Planner, shift

if TYPE_CHECKING:
    from collections.abc import Callable

    from jepa_bridge.drive.core import PlanRequest
    from jepa_bridge.link.clock import Clock
    from jepa_bridge.types import Plan


def solve(planner: Planner, request: PlanRequest) -> Plan:
    """The plan for a request: the previous plan, shifted to now, is where the search starts."""
    warm_start = None
    if request.previous is not None:
        warm_start = shift(np.asarray(request.previous.actions, np.float32), request.shift_steps)
    return planner.plan(request.observation, request.goal, request.index, warm_start)


@dataclass(frozen=True, slots=True)
class Solved:
    """A finished plan and how long it took."""

    request: PlanRequest
    plan: Plan
    duration_us: int


class PlannerThread:
    """Solves one request at a time beside the control loop, which must never wait for it."""

    def __init__(self, planner: Planner, clock: Clock, on_done: Callable[[], None]) -> None:
        self._planner = planner
        self._clock = clock
        self._on_done = on_done
        self._request: PlanRequest | None = None
        self._solved: Solved | None = None
        self._closing = False
        self._wake = threading.Condition()
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="planner", daemon=True)
        self._thread.start()

    def submit(self, request: PlanRequest) -> None:
        """Start on `request`; an earlier one that has not begun is forgotten."""
        with self._wake:
            self._request = request
            self._wake.notify()

    def take(self) -> Solved | None:
        """The newest finished plan, once."""
        with self._wake:
            solved, self._solved = self._solved, None
            return solved

    def close(self) -> None:
        """Let the thread end; a plan in the making is not waited for."""
        with self._wake:
            self._closing = True
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closing or self._request is not None)
                request, self._request = self._request, None
            if request is None:
                return
            start_us = self._clock.now_us()
            try:
                plan = solve(self._planner, request)
            except Exception as error:
                self.error = error
                self._on_done()
                return
            with self._wake:
                self._solved = Solved(request, plan, self._clock.now_us() - start_us)
            self._on_done()
