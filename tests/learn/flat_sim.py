"""A tiny stand-in for the twin: perfect wheels in a 5 x 5 m box, ranges by geometry. Importable by worker processes."""

import math
from dataclasses import dataclass

import numpy as np

from jepa_bridge.types import RANGE_BEARINGS_RAD

SIZE_M, BODY_M, REACH_M = 5.0, 0.1, 2.0


@dataclass
class FlatState:
    ranges_m: np.ndarray
    pose: tuple
    true_pose: tuple
    contact: bool


class FlatArena:
    def sample_free_pose(self, rng, clearance=0.05):
        edge = BODY_M + clearance
        return (*rng.uniform(edge, SIZE_M - edge, 2), rng.uniform(-math.pi, math.pi))

    def sample_goal(self, rng, start, min_distance=1.0):
        while True:
            x, y, _ = self.sample_free_pose(rng, 0.1)
            if math.hypot(x - start[0], y - start[1]) >= min_distance:
                return x, y


class FlatSim:
    def __init__(self, arena, seed, randomisation=None):
        self.arena = FlatArena()
        self.reset()

    def reset(self, pose=None):
        self.pose = tuple(pose or (1.0, 1.0, 0.0))
        return self._state(False)

    def step(self, left, right):
        x, y, heading = self.pose
        turn = 0.625 * (right - left)
        x += 0.05 * (left + right) * math.cos(heading + turn / 2)
        y += 0.05 * (left + right) * math.sin(heading + turn / 2)
        kept = tuple(min(max(value, BODY_M), SIZE_M - BODY_M) for value in (x, y))
        self.pose = (*kept, math.remainder(heading + turn, 2 * math.pi))
        return self._state(kept != (x, y))

    def _state(self, contact):
        x, y, heading = self.pose
        ranges = []
        for bearing in RANGE_BEARINGS_RAD:
            along = math.cos(heading + bearing), math.sin(heading + bearing)
            hits = [
                ((SIZE_M if step > 0 else 0.0) - at) / step
                for at, step in zip((x, y), along, strict=True)
                if abs(step) > 1e-9
            ]
            ranges.append(min(max(min(hits) - BODY_M, 0.0), REACH_M))
        return FlatState(np.array(ranges), self.pose, self.pose, contact)


def flat_sim(arena, seed, randomisation=None):
    return FlatSim(arena, seed, randomisation)
