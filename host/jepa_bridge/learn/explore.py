"""Where experience comes from: a driver without a goal that covers speeds, turns, contacts and long straight drives.

    explorer = Explorer(rng)
    action = explorer.action(ranges_m)  # one for each 0.2 s step

It holds one behaviour for a while and then draws another. Independent noise each step would only make the robot
tremble on its spot; straight lines alone would never show what the planner's noise does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jepa_bridge.types import RANGE_BEARINGS_RAD

if TYPE_CHECKING:
    import numpy.typing as npt

# share of the episodes' decisions, and how many steps one decision lasts
BEHAVIOURS: dict[str, tuple[float, tuple[int, int]]] = {
    "wander": (0.30, (8, 20)),  # smooth noise on both wheels: what plans look like
    "tremble": (0.10, (4, 12)),  # independent noise: what the planner's samples look like
    "straight": (0.17, (5, 30)),
    "arc": (0.17, (5, 15)),
    "spin": (0.08, (2, 8)),
    "approach": (0.10, (6, 16)),  # at the nearest obstacle, until it touches
    "escape": (0.06, (4, 10)),  # towards the most room
    "rest": (0.02, (1, 4)),
}
_NAMES = tuple(BEHAVIOURS)
_SHARES = np.array([share for share, _ in BEHAVIOURS.values()]) / sum(share for share, _ in BEHAVIOURS.values())
_STEERING = 1.2  # wheel command per radian of bearing


class Explorer:
    """Draws actions [2] in [-1, 1]; deterministic for a given generator."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._left_steps = 0
        self._behaviour = ""
        self._held = np.zeros(2)
        self._state = np.zeros(2)

    def action(self, ranges_m: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """The next action for ranges [8] in metres (NaN: no reading)."""
        rng = self._rng
        if self._left_steps == 0:
            self._choose()
        self._left_steps -= 1
        action = self._held
        if self._behaviour == "wander":
            self._state = 0.85 * self._state + rng.normal(0.0, 0.5, 2)  # stands at a deviation of 0.95
            action = self._held * 0.5 + self._state
        elif self._behaviour == "tremble":
            action = self._held + rng.normal(0.0, 0.5, 2)
        elif self._behaviour == "approach":
            action = _steer(ranges_m, nearest=True, speed=self._held[0])
        elif self._behaviour == "escape":
            action = _steer(ranges_m, nearest=False, speed=self._held[0])
        return np.clip(action, -1.0, 1.0).astype(np.float32)

    def _choose(self) -> None:
        rng = self._rng
        self._behaviour = str(rng.choice(_NAMES, p=_SHARES))
        low, high = BEHAVIOURS[self._behaviour][1]
        self._left_steps = int(rng.integers(low, high + 1))
        speed = rng.uniform(0.3, 1.0)
        sign = 1.0 if rng.random() < 0.65 else -1.0  # forward more often than backward
        if self._behaviour == "straight":
            self._held = np.full(2, sign * speed) + rng.normal(0.0, 0.02, 2)
        elif self._behaviour == "spin":
            self._held = np.array((sign, -sign)) * speed
        elif self._behaviour == "rest":
            self._held = np.zeros(2)
        elif self._behaviour in ("approach", "escape"):
            self._held = np.full(2, speed)
        else:
            self._held = rng.uniform(-1.0, 1.0, 2)


def _steer(ranges_m: npt.NDArray[Any], *, nearest: bool, speed: float) -> npt.NDArray[np.float64]:
    """Turn towards the nearest obstacle or the most room and drive there, nose or tail first."""
    known = np.where(np.isfinite(ranges_m), ranges_m, 1.0)
    bearing = RANGE_BEARINGS_RAD[int(known.argmin() if nearest else known.argmax())]
    direction = 1.0
    if abs(bearing) > np.pi / 2 + 0.1:  # behind: go backwards rather than turn right round
        bearing, direction = float((bearing + 2.0 * np.pi) % (2.0 * np.pi) - np.pi), -1.0
    turn = _STEERING * bearing * 0.5
    ahead = direction * speed * max(0.0, float(np.cos(bearing)))
    return np.array((ahead - turn, ahead + turn))
