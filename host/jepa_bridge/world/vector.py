"""The contract's 11 numbers: the one place where an observation or a goal becomes the model's vector, and back.

    vector [11] = 8 ranges in cm / 200 (clipped to 1), x in m / 5, y in m / 5, heading in degrees / 360 in [0, 1)

UNKNOWN marks a range without reading, and a goal's heading or ranges that nobody gave. The encoder's graph knows it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from jepa_bridge.types import Goal, Observation

FloatArray = npt.NDArray[np.float32]

UNKNOWN = -1.0
RANGES = 8
VECTOR_SIZE = RANGES + 3
READOUT_SIZE = RANGES + 4
RANGE_SCALE_M = 2.0  # the contract's 200 cm
POSITION_SCALE_M = 5.0


def pack(ranges_m: npt.NDArray[Any], pose: npt.NDArray[Any]) -> FloatArray:
    """Ranges [..., 8] in metres and poses [..., 3] (x m, y m, heading rad) -> vectors [..., 11]; NaN is unknown.

    x and y must be known: a place without a position is neither an observation nor a goal.
    """
    if not np.isfinite(pose[..., :2]).all():
        raise ValueError("expected finite x and y, got NaN or infinity: only ranges and the heading may be unknown")
    vector = np.empty((*ranges_m.shape[:-1], VECTOR_SIZE), np.float32)
    vector[..., :RANGES] = np.minimum(1.0, np.maximum(0.0, ranges_m / RANGE_SCALE_M))  # half of np.clip's time
    vector[..., RANGES : RANGES + 2] = pose[..., :2] / POSITION_SCALE_M
    turn = (np.degrees(pose[..., 2]) / 360.0 % 1.0).astype(np.float32)
    # a heading a hair below north rounds up to 1.0 in float32, which the contract excludes
    vector[..., RANGES + 2] = np.where(turn >= 1.0, np.float32(0.0), turn)
    vector[np.isnan(vector)] = UNKNOWN
    return vector


def observation_vector(observation: Observation) -> FloatArray:
    """[11] for one observation; a sensor without reading is UNKNOWN."""
    return pack(_ranges(observation.ranges_m), np.array((observation.x_m, observation.y_m, observation.heading_rad)))


def goal_vector(goal: Goal) -> FloatArray:
    """[11] for a goal; what it leaves open is UNKNOWN."""
    ranges = goal.ranges_m if goal.ranges_m is not None else (None,) * RANGES
    heading = math.nan if goal.heading_rad is None else goal.heading_rad
    return pack(_ranges(ranges), np.array((goal.x_m, goal.y_m, heading)))


def unpack(vectors: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Vectors [..., 11] -> ranges [..., 8] in metres and poses [..., 3] with heading in (-pi, pi]; unknown is NaN."""
    known = np.where(vectors == UNKNOWN, np.nan, vectors.astype(np.float64))
    heading = known[..., RANGES + 2] * 2.0 * math.pi
    heading = np.where(heading > math.pi, heading - 2.0 * math.pi, heading)
    # x = -5 m is a place, not an unknown: only ranges and headings may be
    position = vectors[..., RANGES : RANGES + 2].astype(np.float64) * POSITION_SCALE_M
    return known[..., :RANGES] * RANGE_SCALE_M, np.concatenate((position, heading[..., None]), axis=-1)


def unpack_readout(readout: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The readout's [..., 12] -> ranges [..., 8] in metres, clipped to what a sensor can say, and poses [..., 3]."""
    values = readout.astype(np.float64)
    heading = np.arctan2(values[..., RANGES + 3], values[..., RANGES + 2])
    position = values[..., RANGES : RANGES + 2] * POSITION_SCALE_M
    ranges = np.clip(values[..., :RANGES], 0.0, 1.0) * RANGE_SCALE_M
    return ranges, np.concatenate((position, heading[..., None]), axis=-1)


def _ranges(ranges_m: tuple[float | None, ...]) -> npt.NDArray[np.float64]:
    if len(ranges_m) != RANGES:
        raise ValueError(f"expected {RANGES} ranges, got {len(ranges_m)}")
    return np.array([math.nan if value is None else value for value in ranges_m], np.float64)
