"""Who drives in an evaluation: the model as the bridge drives it, the ceiling and the floors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np

from jepa_bridge.learn.oracle import Oracle
from jepa_bridge.plan.compiled import make_planner
from jepa_bridge.plan.mppi import MppiConfig, shift
from jepa_bridge.plan.reactive import Reactive
from jepa_bridge.types import RANGE_BEARINGS_RAD, Goal, Observation

if TYPE_CHECKING:
    from jepa_bridge.twin.episode import EpisodeSim
    from jepa_bridge.world.bundle import WorldModel
    from jepa_bridge.world.vector import FloatArray

CONFIDENCE_GATE = 0.5  # the contract's, as in drive/core.py


class Driver(Protocol):
    """Chooses the wheels for the next step."""

    def __call__(self, observation: Observation, goal: Goal, index: int) -> tuple[float, float]:
        """Left and right in [-1, 1]; `index` counts from 0 within an episode."""


class ModelDriver:
    """MPPI through a world model, as the bridge drives it: each plan starts from the one before, shifted.

    With `gate`, a plan that is less sure than CONFIDENCE_GATE is not driven: the reactive fallback is.
    """

    def __init__(self, world: WorldModel, config: MppiConfig, seed: int, *, gate: bool) -> None:
        self._planner = make_planner(world, config, seed)
        self._gate = gate
        self._fallback = Reactive()
        self._actions: FloatArray | None = None
        self.confidences: list[float] = []

    def __call__(self, observation: Observation, goal: Goal, index: int) -> tuple[float, float]:
        """The plan's first action, or the fallback's."""
        self._fallback.see(observation)
        warm_start = None if self._actions is None or index == 0 else shift(self._actions, 1)
        plan = self._planner.plan(observation, goal, index, warm_start)
        self._actions = np.array(plan.actions, np.float32)
        self.confidences.append(plan.confidence)
        if self._gate and plan.confidence < CONFIDENCE_GATE:
            command = self._fallback.command(observation, goal)
            return command.left, command.right
        return plan.actions[0]


class OracleDriver:
    """The same MPPI on the twin's true dynamics: what the budget of samples could reach at best."""

    def __init__(self, sim: EpisodeSim, config: MppiConfig, seed: int) -> None:
        self._oracle = Oracle(sim)
        self._driver = ModelDriver(self._oracle, config, seed, gate=False)

    def __call__(self, observation: Observation, goal: Goal, index: int) -> tuple[float, float]:
        """The plan's first action."""
        self._oracle.output = self._driver(observation, goal, index)  # the ramp arrives within the step
        return self._oracle.output


class StraightDriver:
    """Turn to the goal, drive there, and turn aside for what is closer than a hand: no model, no future."""

    def __call__(self, observation: Observation, goal: Goal, index: int) -> tuple[float, float]:
        """A proportional controller with reflexes."""
        del index
        wanted = math.atan2(goal.y_m - observation.y_m, goal.x_m - observation.x_m)
        bearing = math.remainder(wanted - observation.heading_rad, 2.0 * math.pi)
        turn = 0.5 * bearing
        ahead = max(0.0, math.cos(bearing)) * min(1.0, 2.0 * goal.distance_m(observation))
        for range_m, side in zip(observation.ranges_m[:3], RANGE_BEARINGS_RAD[:3], strict=True):
            if range_m is not None and range_m < 0.2:
                turn -= math.copysign(0.4, side if side else bearing) * (1.0 - range_m / 0.2)
                ahead *= range_m / 0.2
        return max(-1.0, min(1.0, ahead - turn)), max(-1.0, min(1.0, ahead + turn))


class RandomDriver:
    """New random wheels every step: the floor."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def __call__(self, observation: Observation, goal: Goal, index: int) -> tuple[float, float]:
        """Uniform in [-1, 1]."""
        del observation, goal, index
        left, right = self._rng.uniform(-1.0, 1.0, 2)
        return float(left), float(right)
