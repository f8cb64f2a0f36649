"""The twin without firmware and wire: one action of 0.2 s a step, as fast as the processor allows.

    sim = EpisodeSim("cluttered", seed=3)
    state = sim.reset()
    state = sim.step(0.5, 0.5)

For collecting training data and for measuring planners. What the firmware does on the way is done here too: the ramp
on the wheels' output and odometry from encoder ticks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jepa_bridge.twin import robot
from jepa_bridge.twin.arena import make_arena
from jepa_bridge.twin.physics import Physics

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from jepa_bridge.twin.arena import Pose
    from jepa_bridge.twin.randomise import Randomisation

STEP_S = 0.2  # one action of the model
SLICE_S = 0.01  # odometry and ramp are brought forward this often
_RAMP_PER_SLICE = SLICE_S / robot.WHEEL_RAMP_S


@dataclass(frozen=True, slots=True)
class StepState:
    """What there is to know after one step."""

    ranges_m: NDArray[np.float64]  # [8], order of RANGE_NAMES; 2.0: nothing within reach, NaN: no reading
    pose: Pose  # odometry: x m, y m, heading rad in (-pi, pi]
    true_pose: Pose
    contact: bool  # the robot touched a wall or a cylinder at some moment of the step


class EpisodeSim:
    """One robot in one arena, driven step by step. Equal arguments and equal calls give equal states."""

    def __init__(self, arena_name: str, seed: int = 0, randomisation: Randomisation | None = None) -> None:
        self.arena = make_arena(arena_name, seed)
        self.physics = Physics(self.arena, randomisation=randomisation, seed=seed)
        self.reset()

    def reset(self, pose: Pose | None = None) -> StepState:
        """Stand still at `pose`, which odometry knows exactly; at the arena's start pose if none is given."""
        self._pose = pose or self.arena.start_pose
        self.physics.reset(self._pose)
        self._wheels = (0.0, 0.0)
        self._ticks = self.physics.encoder_ticks
        return self._state(self.physics.in_contact)

    def step(self, left: float, right: float) -> StepState:
        """Drive with wheel outputs in [-1, 1] for STEP_S seconds."""
        contact = False
        for _ in range(round(STEP_S / SLICE_S)):
            self._wheels = (_ramp(self._wheels[0], left), _ramp(self._wheels[1], right))
            self.physics.set_wheels(*self._wheels)
            self.physics.advance(SLICE_S)
            self._integrate()
            contact = contact or self.physics.in_contact
        return self._state(contact)

    def _integrate(self) -> None:
        """Differential drive by the midpoint rule: the arc's chord points along the mean heading."""
        left, right = self.physics.encoder_ticks
        left_m = (left - self._ticks[0]) / robot.TICKS_PER_METRE
        right_m = (right - self._ticks[1]) / robot.TICKS_PER_METRE
        self._ticks = (left, right)
        x_m, y_m, heading_rad = self._pose
        turn_rad = (right_m - left_m) / robot.TRACK_M
        chord_m = (left_m + right_m) / 2
        middle_rad = heading_rad + turn_rad / 2
        self._pose = (
            x_m + chord_m * math.cos(middle_rad),
            y_m + chord_m * math.sin(middle_rad),
            _wrap(heading_rad + turn_rad),
        )

    def _state(self, contact: bool) -> StepState:
        return StepState(self.physics.ranges_m(), self._pose, self.physics.true_pose, contact)


def _ramp(now: float, wanted: float) -> float:
    return now + min(max(wanted - now, -_RAMP_PER_SLICE), _RAMP_PER_SLICE)


def _wrap(angle_rad: float) -> float:
    """The same direction in (-pi, pi]."""
    return math.pi - (math.pi - angle_rad) % (2 * math.pi)
