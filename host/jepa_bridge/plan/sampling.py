"""Everything random about a plan, drawn before it begins: a pure function of the config, the seed and the plan's index.

    candidates of iteration i = clip(keep[i, s] * nominal + offsets[i, s], lowest, highest)

So the planner itself is plain arithmetic that a compiled graph does as well as numpy, and a seed gives the same plan
each time. What does not move with the nominal sequence, such as the proposals, has keep 0.

Between lowest and highest lies what the wheels can do from the speed they have, if their command may change by `slew`
a step. It is what makes driving smooth: wheel jerk is a quarter of independent noise's. Antithetic pairs, elites and
power-law noise gained nothing and were left out; tests/bench/sampling.py tries them all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jepa_bridge.world.bundle import WHEEL_SPEED_M_S

if TYPE_CHECKING:
    from jepa_bridge.plan.mppi import MppiConfig
    from jepa_bridge.types import Observation
    from jepa_bridge.world.vector import FloatArray

# Tried once a plan beside the noise: each holds one action for the whole horizon. A robot at rest before a wall finds
# "back" or "turn" at once instead of by luck.
PROPOSALS = np.array(
    ((0, 0), (1, 1), (-1, -1), (1, -1), (-1, 1), (0.5, 0.5), (1, 0.4), (0.4, 1), (-1, -0.4), (-0.4, -1)), np.float32
)  # [P, 2]


@dataclass(frozen=True, slots=True)
class Samples:
    """What one plan tries. Fewer iterations of the same plan are the first rows of both."""

    offsets: FloatArray  # [I, S, H, 2], noise already scaled by the iteration's deviation
    keep: FloatArray  # [I, S], 1: around the nominal sequence, 0: whatever the nominal is


def draw(config: MppiConfig, seed: int, index: int, iterations: int | None = None) -> Samples:
    """The samples of plan `index`; of its first `iterations` only, if given."""
    count = config.iterations if iterations is None else min(iterations, config.iterations)
    noise = correlated(np.random.default_rng([seed, index]), (count, config.samples, config.horizon), config)
    decay = np.float64(config.std_decay) ** np.arange(count)
    offsets = (config.std * decay).astype(np.float32)[:, None, None, None] * noise
    keep = np.ones((count, config.samples), np.float32)
    offsets[:, 0] = 0.0  # what it already has competes too
    proposed = min(len(PROPOSALS), config.samples - 1)
    offsets[0, 1 : 1 + proposed] = PROPOSALS[:proposed, None]
    keep[0, 1 : 1 + proposed] = 0.0
    return Samples(offsets, keep)


def reachable(config: MppiConfig, observation: Observation) -> FloatArray:
    """[2, H, 2]: the lowest and highest command of each step and wheel.

    From the wheels' measured speeds, not from the last command: wheels that are held begin anew. Who has observations
    without them plans with a slew of 2.
    """
    speeds = np.array((observation.left_m_s, observation.right_m_s), np.float32) / np.float32(WHEEL_SPEED_M_S)
    change = np.float32(config.slew) * np.arange(1, config.horizon + 1, dtype=np.float32)[:, None]  # [H, 1]
    now = np.clip(speeds, -1.0, 1.0)
    return np.clip(np.stack((now - change, now + change)), -1.0, 1.0)  # type: ignore[no-any-return]


def candidates(samples: Samples, iteration: int, nominal: FloatArray, reach: FloatArray) -> FloatArray:
    """The action sequences [S, H, 2] of one iteration around `nominal` [H, 2], within `reachable`."""
    moved = samples.keep[iteration, :, None, None] * nominal + samples.offsets[iteration]
    return np.clip(moved, reach[0], reach[1], out=moved)  # type: ignore[no-any-return]


def correlated(rng: np.random.Generator, shape: tuple[int, int, int], config: MppiConfig) -> FloatArray:
    """[I, S, H, 2]: unit variance at every step, correlated from step to step (a first-order autoregression)."""
    noise = rng.standard_normal((*shape, 2), np.float32)
    keep = np.float32(config.correlation)
    fresh = np.float32(math.sqrt(1.0 - config.correlation**2))
    for step in range(1, shape[2]):
        noise[:, :, step] = keep * noise[:, :, step - 1] + fresh * noise[:, :, step]
    return noise
