"""How one robot differs from the drawing: worn wheels, a slow motor, noisy sensors. Off unless asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jepa_bridge.twin import robot

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Randomisation:
    """One robot's deviations; the defaults are the robot as drawn in `robot.py`."""

    left_gain: float = 1.0  # wheel speed for a command, as a factor
    right_gain: float = 1.0
    motor_lag_s: float = robot.MOTOR_LAG_S
    grip: float = robot.WHEEL_GRIP  # coefficient of friction of the wheels; less grip slips more
    range_noise_m: float = 0.0  # standard deviation of one reading
    range_dropout: float = 0.0  # probability that a sensor gives no reading
    left_tick_scale: float = 1.0  # encoder ticks per true metre of that wheel, as a factor: odometry's scale error
    right_tick_scale: float = 1.0

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Randomisation:
        """Draw a robot that could have come out of the same box of parts."""
        return cls(
            left_gain=rng.uniform(0.92, 1.08),
            right_gain=rng.uniform(0.92, 1.08),
            motor_lag_s=rng.uniform(0.07, 0.15),
            grip=rng.uniform(0.5, 1.0),
            range_noise_m=rng.uniform(0.0, 0.015),
            range_dropout=rng.uniform(0.0, 0.02),
            left_tick_scale=rng.uniform(0.985, 1.015),
            right_tick_scale=rng.uniform(0.985, 1.015),
        )
