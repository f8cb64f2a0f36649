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
    range_scale: float = 1.0  # reading over distance: the speed of sound follows the temperature, 1 % in 6 K
    range_dropout: float = 0.0  # probability that a sensor gives no reading
    left_tick_scale: float = 1.0  # encoder ticks per true metre of that wheel, as a factor: odometry's scale error
    right_tick_scale: float = 1.0
    # how it was built, for a calibration to find out; never drawn
    track_m: float = robot.TRACK_M
    left_dead: float = 0.0  # share of full voltage that a motor takes without turning
    right_dead: float = 0.0
    left_motor_sign: int = 1  # -1: wired the wrong way around
    right_motor_sign: int = 1
    left_encoder_sign: int = 1
    right_encoder_sign: int = 1
    range_offsets_m: tuple[float, ...] = (0.0,) * 8  # a reading is so much longer than the way from the rim

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

    @classmethod
    def off_by(cls, share: float, rng: np.random.Generator) -> Randomisation:
        """A robot whose dynamics are off the drawing by `share`, outside of the box: for evaluation and retraining.

        One wheel is weaker by `share` and the motors are slower by `share`, the tyres grip less by it, and the ranges
        are biased by a fifth of it. `rng` says which wheel, and whether ranges read long or short. Odometry stays: it
        counts what the wheels turn, and a drifting one would move the goal instead of the robot.
        """
        weak = 1.0 - share
        left = bool(rng.integers(2))
        return cls(
            left_gain=weak if left else 1.0,
            right_gain=1.0 if left else weak,
            motor_lag_s=robot.MOTOR_LAG_S * (1.0 + share),
            grip=robot.WHEEL_GRIP * weak,
            range_scale=1.0 + share / 5 * float(rng.choice((-1.0, 1.0))),
        )
