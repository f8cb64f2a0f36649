"""The planner as it drives: one call into one compiled graph a plan. plan/mppi.py is what it must say, readably.

    planner = make_planner(world, MppiConfig(), seed=0)
    planner.plan(observation, goal, index=0, warm_start=None)

Bundles bring the graph with them (learn/compile.py). Worlds, costs and horizons without one are planned by the
reference: a slower answer, not another one.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from jepa_bridge.plan import mppi
from jepa_bridge.plan.costs import STRAIGHT_M, ClearanceWeights, cost_name
from jepa_bridge.plan.mppi import MppiConfig
from jepa_bridge.plan.sampling import DRAWS, draw, reachable
from jepa_bridge.types import Plan
from jepa_bridge.world.device import ONE_THREAD, Device
from jepa_bridge.world.vector import goal_vector, observation_vector

if TYPE_CHECKING:
    import onnxruntime

    from jepa_bridge.types import Goal, Observation
    from jepa_bridge.world.bundle import WorldModel
    from jepa_bridge.world.vector import FloatArray

OUTPUTS = ("actions", "cost", "confidence")
REVISION = 2  # of the graph's inputs and of what it does with them: a graph of another one is not used


class Planner(Protocol):
    """From an observation to a plan: a pure function of the arguments, seed, config and model, to the bit."""

    config: MppiConfig
    seed: int
    device: Device

    @property
    def world(self) -> WorldModel:
        """What it imagines with."""

    def plan(
        self,
        observation: Observation,
        goal: Goal,
        index: int,
        warm_start: FloatArray | None,
        iterations: int | None = None,
    ) -> Plan:
        """`warm_start` [H, 2] begins at this observation; `iterations`: fewer than the config's, when time is short."""


@runtime_checkable
class Compiled(Protocol):
    """What a world model has beyond that if its bundle brings planner graphs."""

    @property
    def planners(self) -> dict[str, dict[str, Any]]:
        """The graphs' names, and of each what `identity` said when it was compiled."""

    def planner_session(self, name: str, device: Device) -> onnxruntime.InferenceSession:
        """One of them, loaded."""

    def motion(self, observation: Observation) -> FloatArray:
        """[1, 3]: 1 if the model takes wheel speeds, left, right in units of full speed."""


def make_planner(
    world: WorldModel, config: MppiConfig | None = None, seed: int = 0, device: Device = ONE_THREAD
) -> Planner:
    """The bundle's compiled planner for this config, or the reference, which knows one thread only, if it has none."""
    config = config or MppiConfig()
    if isinstance(world, Compiled):
        wanted = identity(cost_name(config.cost, world), config.horizon)
        for name, compiled in world.planners.items():
            if compiled == wanted:
                return CompiledPlanner(world, config, seed, world.planner_session(name, device), device)
    return mppi.Planner(world, config, seed)


def identity(cost: str, horizon: int) -> dict[str, Any]:
    """What a compiled planner has baked in, as its bundle's card says it: one of other weights is not used."""
    weights: dict[str, float] = {} if cost == "embedding" else asdict(ClearanceWeights())
    if cost == "waytogo":
        weights["straight_m"] = STRAIGHT_M
    return {"revision": REVISION, "cost": cost, "horizon": horizon, "weights": weights}


class CompiledPlanner:
    """MPPI in one graph. What is random is drawn here, so that the graph is plain arithmetic."""

    def __init__(
        self,
        world: WorldModel,
        config: MppiConfig,
        seed: int,
        session: onnxruntime.InferenceSession,
        device: Device = ONE_THREAD,
    ) -> None:
        assert isinstance(world, Compiled)
        self.world = world
        self.config = config
        self.seed = seed
        self.device = device
        self._compiled: Compiled = world
        self._session = session
        self._draws = [draw(config, seed, index) for index in range(DRAWS)]
        self._temperature = np.array(config.temperature, np.float32)
        self._goal: Goal | None = None  # of the plan before: goals stay for many plans
        self._goal_inputs: dict[str, FloatArray] = {}

    def plan(
        self,
        observation: Observation,
        goal: Goal,
        index: int,
        warm_start: FloatArray | None,
        iterations: int | None = None,
    ) -> Plan:
        """As `mppi.Planner.plan` to 1e-4; same inputs, same bits."""
        samples = self._draws[index % DRAWS].first(iterations)
        actions, cost, confidence = self._session.run(
            OUTPUTS,
            {
                "observation": observation_vector(observation)[None],
                "motion": self._compiled.motion(observation),
                **self._towards(goal),
                "offsets": samples.offsets,
                "keep": samples.keep,
                "warm_start": mppi.nominal(self.config, warm_start),
                "temperature": self._temperature,
                "reach": reachable(self.config, observation),
            },
        )
        return Plan(
            index=index,
            observation_seq=observation.seq,
            observation_t_us=observation.t_us,
            actions=tuple((left, right) for left, right in actions.tolist()),
            cost=float(cost[0]),
            confidence=float(confidence[0]),
            step_s=self.config.step_s,
            iterations=len(samples.keep),
        )

    def _towards(self, goal: Goal) -> dict[str, FloatArray]:
        if goal != self._goal:
            radius_m = np.array((goal.radius_m,), np.float32)
            self._goal, self._goal_inputs = goal, {"goal": goal_vector(goal)[None], "radius_m": radius_m}
        return self._goal_inputs
