"""Model-predictive path integral control: sample action sequences, imagine them, average the good ones.

This is the readable reference. What drives is plan/compiled.py, which says the same in one call.

    plan = Planner(world, MppiConfig(), seed=0).plan(observation, goal, index=0, warm_start=None)

After Williams et al., "Information Theoretic MPC for Model-Based Reinforcement Learning" (ICRA 2017): the nominal
sequence moves to the mean of the samples, each weighted by exp(-cost / temperature). Iterated with shrinking noise as
in the cross-entropy method (TD-MPC, Hansen et al. 2022). Noise is correlated in time, because noise that is drawn anew
each step cancels itself out over a horizon and explores little but the place where the robot stands (iCEM,
Pinneri et al. 2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.plan.costs import COSTS, Rollout, make_cost
from jepa_bridge.plan.sampling import candidates, draw, reachable
from jepa_bridge.types import Goal, Observation, Plan
from jepa_bridge.world.device import ONE_THREAD

if TYPE_CHECKING:
    from jepa_bridge.world.bundle import WorldModel
    from jepa_bridge.world.vector import FloatArray


@dataclass(frozen=True, slots=True)
class MppiConfig:
    """The contract's defaults; `cost` is a name from plan/costs.py."""

    horizon: int = 10  # steps
    step_s: float = 0.2
    samples: int = 64
    iterations: int = 5
    temperature: float = 0.1
    std: float = 0.5  # of the noise in the first iteration, in wheel commands
    std_decay: float = 0.8  # each further iteration
    correlation: float = 0.6  # of the noise from one step to the next
    slew: float = 0.4  # how far a step's command may be from the wheel's speed a step before; 2 is no limit
    cost: str = "default"

    @classmethod
    def fast(cls) -> MppiConfig:
        """Reaches as much as the contract's budget with a third of its rollouts (tests/bench/sampling.py).

        The warm start does what the other iterations would: the next search goes on where this one ended.
        """
        return cls(samples=96, iterations=1, correlation=0.8)

    def __post_init__(self) -> None:
        wrong = [
            text
            for text, fine in (
                ("horizon >= 1", self.horizon >= 1),
                ("samples >= 2", self.samples >= 2),
                ("iterations >= 1", self.iterations >= 1),
                ("temperature > 0", self.temperature > 0),
                ("step_s > 0", self.step_s > 0),
                ("std >= 0", self.std >= 0),
                ("0 <= correlation < 1", 0 <= self.correlation < 1),
                ("slew > 0", self.slew > 0),
                (f"cost one of {', '.join(sorted(COSTS))}", self.cost in COSTS),
            )
            if not fine
        ]
        if wrong:
            raise BridgeError(
                "planner-config", f"expected {'; '.join(wrong)}, got {self}", "correct it", status=Exit.USAGE
            )


SAMPLING = {"contract": MppiConfig(), "fast": MppiConfig.fast()}  # by the names of --sampling


class Planner:
    """MPPI through a world model. Not for use by two threads at once: the rollout's buffers are its own."""

    def __init__(self, world: WorldModel, config: MppiConfig | None = None, seed: int = 0) -> None:
        self.world = world
        self.config = config or MppiConfig()
        self.seed = seed
        self.device = ONE_THREAD
        horizon, samples = self.config.horizon, self.config.samples
        self._embeddings = np.empty((horizon, samples, world.embedding_dim), np.float32)
        self._confidence = np.empty((horizon, samples), np.float32)

    def plan(
        self,
        observation: Observation,
        goal: Goal,
        index: int,
        warm_start: FloatArray | None,
        iterations: int | None = None,
    ) -> Plan:
        """A pure function of its arguments, the seed, the config and the model: same inputs, same bits.

        `warm_start` [H, 2] is the sequence to start from, already shifted to begin at this observation (see `shift`).
        `iterations`: fewer than the config's, when time is short.
        """
        config = self.config
        start = self.world.start(observation)  # [1, D]
        cost = make_cost(config.cost, self.world, goal)
        sequence = nominal(config, warm_start)  # [H, 2]
        samples, reach = draw(config, self.seed, index).first(iterations), reachable(config, observation)
        for iteration in range(len(samples.keep)):
            actions = candidates(samples, iteration, sequence, reach)  # [S, H, 2]
            costs = cost(self.rollout(start, actions))  # [S]
            sequence = np.einsum("s,sha->ha", weigh(costs, config.temperature), actions)
        final = self.rollout(start, sequence[None])
        return Plan(
            index=index,
            observation_seq=observation.seq,
            observation_t_us=observation.t_us,
            actions=tuple((float(left), float(right)) for left, right in sequence),
            cost=float(cost(final)[0]),
            confidence=float(final.confidence.min()),
            step_s=config.step_s,
            iterations=len(samples.keep),
        )

    def rollout(self, start: FloatArray, actions: FloatArray) -> Rollout:
        """Imagine `actions` [S, H, 2] from `start` [1, D]. The result lies in the planner's buffers: use it at once."""
        samples, horizon = actions.shape[:2]
        embeddings, confidence = self._embeddings[:, :samples], self._confidence[:, :samples]
        current = np.repeat(start, samples, axis=0)  # [S, D]
        for step in range(horizon):
            current, sure = self.world.predict(current, actions[:, step])
            embeddings[step], confidence[step] = current, sure[:, 0]
        return Rollout(embeddings, confidence, actions)


def nominal(config: MppiConfig, warm_start: FloatArray | None) -> FloatArray:
    """The sequence [H, 2] that a search begins with."""
    shape = (config.horizon, 2)
    if warm_start is None:
        return np.zeros(shape, np.float32)
    if warm_start.shape != shape:
        raise ValueError(f"expected a warm start of shape {shape}, got {warm_start.shape}")
    return np.clip(warm_start, -1.0, 1.0).astype(np.float32)


def weigh(costs: FloatArray, temperature: float) -> FloatArray:
    """[S] costs -> [S] weights that sum to one.

    Costs come in any unit, so they are measured from the best sample in units of the distance from best to median:
    the median sample weighs exp(-1 / temperature). The median, because a few samples that crash must not set the unit.
    """
    above = costs.astype(np.float64) - costs.min()
    unit = float(np.median(above))
    if unit <= 0.0:  # half of the samples share the best cost
        unit = float(above.max()) or 1.0
    weights = np.exp(-above / (temperature * unit))
    return (weights / weights.sum()).astype(np.float32)  # type: ignore[no-any-return]


def shift(actions: FloatArray, steps: int) -> FloatArray:
    """[H, 2] as seen `steps` steps later: what was driven falls off, the last action is held at the end."""
    if steps <= 0:
        return actions.copy()
    kept = actions[min(steps, len(actions) - 1) :]
    return np.concatenate((kept, np.repeat(kept[-1:], len(actions) - len(kept), axis=0)))
