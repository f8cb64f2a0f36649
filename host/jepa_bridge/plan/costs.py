"""What a rollout costs. Costs, picked by name:

    embedding   the contract's: sum over steps of (t+1)/H times the distance to the goal embedding
    clearance   metres to go, room around the robot and calm wheels, on what the readout says
    waytogo     the same, with metres to go around walls, for a bundle that learned the place it drives in
    default     waytogo if the bundle has it, else clearance

All take all samples at once and return one number a sample; smaller is better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.world.bundle import Lived
from jepa_bridge.world.vector import POSITION_SCALE_M, RANGE_SCALE_M, RANGES, FloatArray, goal_vector

if TYPE_CHECKING:
    from collections.abc import Callable

    from jepa_bridge.types import Goal
    from jepa_bridge.world.bundle import WorldModel


@dataclass(slots=True)
class Rollout:
    """S imagined futures of H steps. Step t is what follows action t, so the present itself is not in it."""

    embeddings: FloatArray  # [H, S, D]
    confidence: FloatArray  # [H, S]
    actions: FloatArray  # [S, H, 2]


class Cost(Protocol):
    """Rates rollouts towards the one goal it was made for."""

    def __call__(self, rollout: Rollout) -> FloatArray:
        """[S], smaller is better."""


class EmbeddingCost:
    """The contract's cost: time-weighted Euclidean distance to the goal embedding.

    It drives only as well as distance in the embedding means way to go; `learn/model.py` scales the embedding for that.
    """

    def __init__(self, world: WorldModel, goal: Goal) -> None:
        self._goal = world.encode(goal_vector(goal)[None])  # [1, D]

    def __call__(self, rollout: Rollout) -> FloatArray:
        """[S]."""
        distance = np.linalg.norm(rollout.embeddings - self._goal, axis=2)  # [H, S]
        return _ramp(len(distance)) @ distance  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class ClearanceWeights:
    """In metres to go: what a weight is multiplied with is worth that many metres of mean distance."""

    margin_m: float = 0.20  # nearer than this to an obstacle costs, growing with the square
    margin: float = 0.6
    touch_m: float = 0.04  # a range this short is as good as a collision
    touch: float = 2.0
    heading: float = 0.3  # only near the goal, and only if the goal has a heading
    calm: float = 0.1  # wheel speed at the goal: arrive and stand
    smooth: float = 0.01  # change from one action to the next
    doubt: float = 1.0  # confidence below one
    near_m: float = 0.5  # what counts as near the goal for the heading


class ClearanceCost:
    """Way to go in metres, weighted towards the end of the horizon, plus penalties; see ClearanceWeights."""

    def __init__(self, world: WorldModel, goal: Goal, weights: ClearanceWeights | None = None) -> None:
        self._world = world
        self._goal = goal
        self._weights = weights or ClearanceWeights()

    def __call__(self, rollout: Rollout) -> FloatArray:
        """[S]."""
        weights = self._weights
        horizon, samples, dim = rollout.embeddings.shape
        seen = self._world.readout(rollout.embeddings.reshape(horizon * samples, dim)).reshape(horizon, samples, -1)
        ramp = _ramp(horizon) / np.float32((horizon + 1) / 2)  # [H], sums to one

        x, y = seen[..., RANGES] * POSITION_SCALE_M, seen[..., RANGES + 1] * POSITION_SCALE_M
        to_go = self._to_go(x, y, rollout.embeddings)  # [H, S] metres
        cost = ramp @ to_go

        # each sensor counts by itself: a corner is worse than a wall
        ranges = np.maximum(seen[..., :RANGES] * RANGE_SCALE_M, 0.0)  # [H, S, 8] metres
        squeeze = np.square(np.maximum(1.0 - ranges / weights.margin_m, 0.0)).sum(axis=2)
        touch = np.maximum(1.0 - ranges.min(axis=2) / weights.touch_m, 0.0)
        cost += (weights.margin * squeeze + weights.touch * touch).mean(axis=0)

        if self._goal.heading_rad is not None:
            cosine, sine = seen[..., RANGES + 2], seen[..., RANGES + 3]
            wanted = self._goal.heading_rad
            off = 1.0 - (cosine * np.cos(wanted) + sine * np.sin(wanted))  # [H, S], 0..2
            cost += weights.heading * (ramp @ (off * np.exp(-np.square(to_go / weights.near_m))))

        speed = np.square(rollout.actions).mean(axis=2).T  # [H, S]
        arrived = np.exp(-np.square(to_go / self._goal.radius_m))
        cost += weights.calm * (speed * arrived).mean(axis=0)
        changes = np.square(np.diff(rollout.actions, axis=1)).sum(axis=(1, 2))
        cost += weights.smooth / (2 * max(horizon - 1, 1)) * changes
        cost += weights.doubt * (1.0 - rollout.confidence).mean(axis=0)
        return cost.astype(np.float32)

    def _to_go(self, x: FloatArray, y: FloatArray, embeddings: FloatArray) -> FloatArray:
        """Positions [H, S], embeddings [H, S, D] -> metres to go [H, S]: here the straight line."""
        del embeddings
        return np.hypot(x - self._goal.x_m, y - self._goal.y_m)  # type: ignore[no-any-return]


STRAIGHT_M = 0.3  # nearer than about this to the goal no wall can be between


class WayCost(ClearanceCost):
    """ClearanceCost with the learned way to go: what lies beyond the horizon counts as the drives there showed it.

    A value learned on what was lived, at the end of a short plan, carries it past its horizon (TD-MPC, Hansen et al.
    2022); here the value is metres of the shortest way over experienced transitions, see learn/wayfinding.py.
    """

    def __init__(self, world: WorldModel, goal: Goal, weights: ClearanceWeights | None = None) -> None:
        if not (isinstance(world, Lived) and world.knows_the_way):
            raise BridgeError(
                "cost-unknown",
                "the cost waytogo needs a bundle that learned a place",
                "retrain one: jepa-bridge retrain LOGS --place --out models/mine; or take --cost clearance",
                status=Exit.USAGE,
            )
        super().__init__(world, goal, weights)
        self._lived: Lived = world
        self._goal_embedding = world.encode(goal_vector(goal)[None])  # [1, D]

    def _to_go(self, x: FloatArray, y: FloatArray, embeddings: FloatArray) -> FloatArray:
        """[H, S]."""
        straight = super()._to_go(x, y, embeddings)
        horizon, samples, dim = embeddings.shape
        metres = self._lived.way_to_go(embeddings.reshape(horizon * samples, dim), self._goal_embedding)
        # ways along walls count longer, but a goal at a wall is a goal: the last bit is straight
        far = 1.0 - np.exp(-np.square(straight / STRAIGHT_M))
        return straight + far * (metres.reshape(horizon, samples) - straight)  # type: ignore[no-any-return]


def cost_name(name: str, world: WorldModel) -> str:
    """What `default` means for this world; other names as they are."""
    if name != "default":
        return name
    return "waytogo" if isinstance(world, Lived) and world.knows_the_way else "clearance"


def _default_cost(world: WorldModel, goal: Goal) -> Cost:
    return COSTS[cost_name("default", world)](world, goal)


COSTS: dict[str, Callable[[WorldModel, Goal], Cost]] = {
    "default": _default_cost,
    "embedding": EmbeddingCost,
    "clearance": ClearanceCost,
    "waytogo": WayCost,
}


def make_cost(name: str, world: WorldModel, goal: Goal) -> Cost:
    """The cost called `name` for one goal."""
    if name not in COSTS:
        raise BridgeError(
            "cost-unknown",
            f"expected a cost of {', '.join(sorted(COSTS))}, got {name!r}",
            "choose one of these",
            status=Exit.USAGE,
        )
    return COSTS[name](world, goal)


def _ramp(horizon: int) -> FloatArray:
    """[H]: (t+1)/H. Late steps count most, but every step counts: a detour must pay off soon."""
    return np.arange(1, horizon + 1, dtype=np.float32) / np.float32(horizon)
