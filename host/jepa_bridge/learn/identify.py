"""What kind of robot drove? Wheel gains and motor lag, fitted to its wheels' speeds as a physical twin of it.

    robot = identify(shards)          # Randomisation(left_gain=0.75, ...)
    sim = Like(robot)("cluttered", seed, None)

A few minutes of logs teach a network a robot's gains, but not what corners look like. Twin data of the *same* robot
fills that gap without teaching it another one.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jepa_bridge.learn.collect import STEP_S
from jepa_bridge.learn.dataset import read_shard
from jepa_bridge.twin import robot
from jepa_bridge.twin.randomise import Randomisation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jepa_bridge.learn.collect import Simulator

STEPS_MIN = 200  # fewer say nothing: 40 s of driving
# The fit takes the firmware's ramp for lag and one wheel's load for the other's: on the twin itself, lags of 0.10,
# 0.15 and 0.20 s come out as 0.125, 0.187 and 0.247 s, gains within 2 %.
LAG_FACTOR = 1.24
GAIN_RANGE, LAG_RANGE_S = (0.3, 1.5), (0.05, 0.5)  # beyond, the wheels were held or the encoders are wrong


def identify(shards: Sequence[Path]) -> Randomisation | None:
    """The robot of these drives; None if they do not tell the wheels' speeds for STEPS_MIN steps free of contact."""
    before, after, wanted = [], [], []
    for path in shards:
        for drive in read_shard(path)[0]:
            free = np.isfinite(drive.speeds).all(axis=1)  # [T + 1]
            free &= np.where(drive.vectors[:, :8] >= 0.0, drive.vectors[:, :8], 1.0).min(axis=1) > 0.01  # 2 cm
            free = free[:-1] & free[1:]
            before.append(drive.speeds[:-1][free])
            after.append(drive.speeds[1:][free])
            wanted.append(drive.actions[free])
    if not before or sum(map(len, before)) < STEPS_MIN:
        return None
    gains, lags_s = [], []
    for wheel in (0, 1):
        # a first-order lag over one step: v' = k v + (1 - k) gain u, k = exp(-step / lag)
        inputs = np.stack([np.concatenate(part)[:, wheel] for part in (before, wanted)], axis=1).astype(np.float64)
        (keep, push), *_ = np.linalg.lstsq(inputs, np.concatenate(after)[:, wheel].astype(np.float64), rcond=None)
        keep = min(max(keep, 1e-3), 0.9)
        gains.append(float(np.clip(push / (1.0 - keep), *GAIN_RANGE)))
        lags_s.append(float(np.clip(-STEP_S / math.log(keep) / LAG_FACTOR, *LAG_RANGE_S)))
    return Randomisation(
        left_gain=round(gains[0], 3), right_gain=round(gains[1], 3), motor_lag_s=round(sum(lags_s) / 2, 3)
    )


@dataclass(frozen=True, slots=True)
class Like:
    """Makes simulators of robots like this one; what is drawn on top varies it as twins vary."""

    robot: Randomisation

    def __call__(self, arena: str, seed: int, randomisation: Any) -> Simulator:
        """As `collect.twin_sim`."""
        from jepa_bridge.twin.episode import EpisodeSim  # noqa: PLC0415  # MuJoCo: only who simulates needs it

        like = self.robot
        if randomisation is not None:
            like = dataclasses.replace(
                randomisation,
                left_gain=like.left_gain * randomisation.left_gain,
                right_gain=like.right_gain * randomisation.right_gain,
                motor_lag_s=like.motor_lag_s * randomisation.motor_lag_s / robot.MOTOR_LAG_S,
                grip=min(like.grip, randomisation.grip),
                range_scale=like.range_scale * randomisation.range_scale,
            )
        return EpisodeSim(arena, seed, randomisation=like)
