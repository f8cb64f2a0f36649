"""Everything random about a plan, drawn before it begins: a pure function of the config, the seed and the plan's index.

    candidates of iteration i = clip(keep[i, s] * nominal + offsets[i, s], lowest, highest)

So the planner itself is plain arithmetic that a compiled graph does as well as numpy, and a seed gives the same plan
each time. What does not move with the nominal sequence, such as the proposals, has keep 0.

Between lowest and highest lies what the wheels can do from the speed they have, if their command may change by `slew`
a step. It is what makes driving smooth: wheel jerk is a quarter of independent noise's. Antithetic pairs, elites and
power-law noise gained nothing and were left out; tests/bench/sampling.py tries them all.
"""

from __future__ import annotations

import functools
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
# Plans take turns with so many sets of samples, so that a planner can draw them all before it drives.
DRAWS = 32


@dataclass(frozen=True, slots=True)
class Samples:
    """What one plan tries. Fewer iterations of the same plan are the first rows of both."""

    offsets: FloatArray  # [I, S, H, 2], noise already scaled by the iteration's deviation
    keep: FloatArray  # [I, S], 1: around the nominal sequence, 0: whatever the nominal is

    def first(self, iterations: int | None) -> Samples:
        """Of so many iterations only; all, if None."""
        return self if iterations is None else Samples(self.offsets[:iterations], self.keep[:iterations])


def draw(config: MppiConfig, seed: int, index: int) -> Samples:
    """The samples of plan `index`."""
    shape = (config.iterations, config.samples, config.horizon, 2)
    white = np.random.default_rng([seed, index % DRAWS]).standard_normal(shape, np.float32)
    offsets = np.matmul(white.reshape(*shape[:2], -1), _colours(config)).reshape(shape)
    keep = np.ones(shape[:2], np.float32)
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
    reach = np.maximum(-1.0, np.minimum(1.0, speeds)) + _changes(config.horizon, config.slew)
    return np.maximum(-1.0, np.minimum(1.0, reach, out=reach), out=reach)  # type: ignore[no-any-return]


def candidates(samples: Samples, iteration: int, nominal: FloatArray, reach: FloatArray) -> FloatArray:
    """The action sequences [S, H, 2] of one iteration around `nominal` [H, 2], within `reachable`."""
    moved = samples.keep[iteration, :, None, None] * nominal + samples.offsets[iteration]
    return np.clip(moved, reach[0], reach[1], out=moved)  # type: ignore[no-any-return]


@functools.lru_cache(maxsize=16)
def _colours(config: MppiConfig) -> FloatArray:
    """[I, 2H, 2H]: white noise, a row a sample, times this is the iteration's noise. Not to be written to.

    Each step has the iteration's deviation and is correlated with the one before: a first-order autoregression.
    """
    steps = np.arange(config.horizon)
    ago = steps[None, :] - steps[:, None]  # [H, H] how long before column t row k was
    fresh = np.where(steps == 0, 1.0, math.sqrt(1.0 - config.correlation**2))
    colour = np.where(ago >= 0, np.float64(config.correlation) ** np.maximum(ago, 0), 0.0) * fresh[:, None]
    deviation = config.std * np.float64(config.std_decay) ** np.arange(config.iterations)
    return (deviation[:, None, None] * np.kron(colour, np.eye(2))).astype(np.float32)


@functools.lru_cache(maxsize=16)
def _changes(horizon: int, slew: float) -> FloatArray:
    """[2, H, 1]: how far each step's command may have moved by then, down and up. Not to be written to."""
    change = slew * np.arange(1, horizon + 1, dtype=np.float32)[:, None]
    return np.stack((-change, change)).astype(np.float32)
