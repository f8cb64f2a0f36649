"""From a plan request to a plan, inline for replay and on a thread of its own for driving."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jepa_bridge.drive.pace import DEADLINE_US, Pace
from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.plan.compiled import make_planner
from jepa_bridge.plan.mppi import shift
from jepa_bridge.types import Goal, Observation
from jepa_bridge.world.bundle import load_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from jepa_bridge.drive.core import PlanRequest
    from jepa_bridge.link.clock import Clock
    from jepa_bridge.plan.compiled import Planner
    from jepa_bridge.types import Plan

CLOSE_S = 2.0  # a plan takes some 10 ms; one that hangs must not hold up the end of the program for ever


def solve(planner: Planner, request: PlanRequest, iterations: int | None = None) -> Plan:
    """The plan for a request: the previous plan, shifted to now, is where the search starts.

    `iterations`: as many as there was or is time for; None: all.
    """
    warm_start = None
    if request.previous is not None:
        warm_start = shift(np.asarray(request.previous.actions, np.float32), request.shift_steps)
    return planner.plan(request.observation, request.goal, request.index, warm_start, iterations)


@dataclass(frozen=True, slots=True)
class Solved:
    """A finished plan and how long it took."""

    request: PlanRequest
    plan: Plan
    duration_us: int
    takeover: Takeover | None = None  # the bundle that took over since the last plan that was taken


@dataclass(frozen=True, slots=True)
class Takeover:
    """A planner on another bundle, ready to go on where the old one is."""

    planner: Planner
    model: str
    model_hash: str


def load_takeover(model: str, old: Planner) -> Takeover:
    """Load and verify a bundle, and let it plan once: what cannot plan must not get the robot."""
    world = load_named(model)
    if world.card.step_s != old.config.step_s:
        raise BridgeError(
            "model-incompatible",
            f"{model}: expected steps of {old.config.step_s} s, got {world.card.step_s}",
            "export the bundle again with this version of jepa-bridge",
            status=Exit.MODEL,
        )
    planner = make_planner(world, old.config, old.seed, old.device)
    trial = planner.plan(Observation(0, 0, (1.0,) * 8, 1.0, 1.0, 0.0), Goal(4.0, 4.0), 0, None)
    if not np.isfinite((*np.ravel(trial.actions), trial.cost, trial.confidence)).all():
        raise BridgeError(
            "model-corrupt", f"{model} plans what is not a number", "train and export it again", status=Exit.MODEL
        )
    return Takeover(planner, model, world.hash)


class PlannerThread:
    """Solves one request at a time beside the control loop, which must never wait for it.

    A planner that would be late searches less; see pace.py.
    """

    def __init__(
        self, planner: Planner, clock: Clock, on_done: Callable[[], None], deadline_us: int = DEADLINE_US
    ) -> None:
        self._planner = planner
        self._deadline_us = deadline_us
        self._pace = Pace(deadline_us)
        self._clock = clock
        self._on_done = on_done
        self._request: PlanRequest | None = None
        self._solved: Solved | None = None
        self._next_model: str | None = None
        self._refused: tuple[str, str] | None = None
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

    def take_over(self, model: str) -> None:
        """Load a bundle between two plans and go on with it; one that is not fit is refused and the old one stays."""
        with self._wake:
            self._next_model = model
            self._wake.notify()

    def take_refused(self) -> tuple[str, str] | None:
        """A bundle that was not fit to take over, and why; once."""
        with self._wake:
            refused, self._refused = self._refused, None
            return refused

    def close(self) -> None:
        """Let the thread end, after the plan in the making: onnxruntime taken down under one aborts the process."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        takeover: Takeover | None = None
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closing or self._request is not None or self._next_model is not None)
                if self._closing:
                    return
                model, self._next_model = self._next_model, None
                request, self._request = self._request, None
            if model is not None:
                takeover = self._load(model) or takeover
            if request is None:
                continue
            start_us = self._clock.now_us()
            try:
                plan = solve(self._planner, request, self._pace.iterations(self._planner.config.iterations))
            except Exception as error:
                self.error = error
                self._on_done()
                return
            duration_us = self._clock.now_us() - start_us
            self._pace.took(plan.iterations, duration_us)
            with self._wake:
                if takeover is None and self._solved is not None:
                    takeover = self._solved.takeover  # of a plan that nobody took
                self._solved = Solved(request, plan, duration_us, takeover)
            takeover = None
            self._on_done()

    def _load(self, model: str) -> Takeover | None:
        try:
            takeover = load_takeover(model, self._planner)
        except Exception as error:  # whatever is wrong with it, the robot drives on with the old one
            with self._wake:
                self._refused = model, str(error)
            self._on_done()
            return None
        self._planner = takeover.planner
        self._pace = Pace(self._deadline_us)  # it has a speed of its own
        return takeover
