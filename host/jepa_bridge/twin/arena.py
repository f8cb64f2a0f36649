"""Arenas: 5 x 5 m with the corner at (0, 0), so that every pose and goal is positive. One seed, one arena.

arena = make_arena("doorway", seed=3)
arena.path_length(arena.start_pose[:2], (4.0, 4.0))  # metres the robot's centre must travel at least
"""

from __future__ import annotations

import heapq
import math
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.twin import robot

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Metres = NDArray[np.float64]  # of any shape

ARENA_SIZE_M = 5.0
WALL_THICKNESS_M = 0.1
DOOR_WIDTH_M = 0.8
# every arena keeps this place free and reachable: the goal of the examples, `--goal 4,4`
USUAL_GOAL_M = (4.0, 4.0)
# between any two obstacles; more than a robot's width, so no set of cylinders can close a way
PASSAGE_M = 2 * robot.BODY_RADIUS_M + 0.3
GRID_M = 0.05
_TRIES = 10_000

Pose = tuple[float, float, float]  # x m, y m, heading rad counter-clockwise from +x


@dataclass(frozen=True, slots=True)
class Wall:
    """An upright box, its sides along the axes."""

    x_min_m: float
    y_min_m: float
    x_max_m: float
    y_max_m: float

    def distances_m(self, x_m: Metres, y_m: Metres) -> Metres:
        """From points to the wall's surface; 0 inside."""
        dx = np.maximum(np.maximum(self.x_min_m - x_m, x_m - self.x_max_m), 0.0)
        dy = np.maximum(np.maximum(self.y_min_m - y_m, y_m - self.y_max_m), 0.0)
        return np.hypot(dx, dy)


@dataclass(frozen=True, slots=True)
class Cylinder:
    """An upright cylinder."""

    x_m: float
    y_m: float
    radius_m: float

    def distances_m(self, x_m: Metres, y_m: Metres) -> Metres:
        """From points to the cylinder's surface; negative inside."""
        return np.hypot(x_m - self.x_m, y_m - self.y_m) - self.radius_m


@dataclass(frozen=True)
class Arena:
    """A room with obstacles. Equal arguments of `make_arena` give equal arenas."""

    name: str
    seed: int
    size_m: tuple[float, float]
    walls: tuple[Wall, ...]
    cylinders: tuple[Cylinder, ...]
    start_pose: Pose

    def clearance(self, x_m: float, y_m: float) -> float:
        """Gap in metres between the rim of a robot that stands there and the nearest obstacle; negative: overlap.

        Negative outside of the arena too.
        """
        return float(self.clearances(np.array(x_m), np.array(y_m)))

    def clearances(self, x_m: Metres, y_m: Metres) -> Metres:
        """The same for many places at once."""
        width_m, height_m = self.size_m
        obstacles: tuple[Wall | Cylinder, ...] = (*self.walls, *self.cylinders)
        gaps_m = [obstacle.distances_m(x_m, y_m) for obstacle in obstacles]
        nearest_m: Metres = np.minimum.reduce((x_m, y_m, width_m - x_m, height_m - y_m, *gaps_m))
        return nearest_m - robot.BODY_RADIUS_M

    def sample_free_pose(self, rng: np.random.Generator, clearance: float = 0.05) -> Pose:
        """Draw a pose at which the robot's rim is at least `clearance` metres from everything."""
        width, height = self.size_m
        for _ in range(_TRIES):
            x_m, y_m = rng.uniform(0.0, width), rng.uniform(0.0, height)
            if self.clearance(x_m, y_m) >= clearance:
                return x_m, y_m, rng.uniform(-math.pi, math.pi)
        raise BridgeError("no-free-pose", f"no place in arena {self.name} has a clearance of {clearance} m")

    def sample_goal(
        self, rng: np.random.Generator, start: tuple[float, ...], min_distance: float = 1.0
    ) -> tuple[float, float]:
        """Draw a place (x m, y m) that can be reached from `start`, `min_distance` metres or more away."""
        reach_m = self.distances_from(start[0], start[1])
        for _ in range(_TRIES):
            x_m, y_m, _ = self.sample_free_pose(rng, 0.1)
            far_enough = math.hypot(x_m - start[0], y_m - start[1]) >= min_distance
            if far_enough and math.isfinite(reach_m[self._cell(x_m, y_m)]):
                return x_m, y_m
        raise BridgeError(
            "no-goal", f"arena {self.name} has no reachable place {min_distance} m away from {start[0]}, {start[1]}"
        )

    def path_length(self, a: tuple[float, ...], b: tuple[float, ...]) -> float:
        """Metres from `a` to `b` around the obstacles; infinite when there is no way.

        Measured along an 8-connected grid, so up to 8 % longer than the shortest way, save where a straight line
        is free: then it is that line's length.
        """
        grid_m = float(self.distances_from(a[0], a[1])[self._cell(b[0], b[1])])
        straight_m = math.hypot(b[0] - a[0], b[1] - a[1])
        return straight_m if math.isfinite(grid_m) and self.straight_is_free(a, b) else max(grid_m, straight_m)

    def distances_from(self, x_m: float, y_m: float) -> NDArray[np.float64]:
        """Metres of way from a place to every cell of the grid, [columns along x, rows along y]; infinite: no way.

        The place's own cell counts as free, so that a robot that leans on a wall still has somewhere to go.
        """
        free = self._free
        distances = np.full(free.shape, np.inf)
        start = self._cell(x_m, y_m)
        distances[start] = 0.0
        queue = [(0.0, start)]
        columns, rows = free.shape
        while queue:
            distance, (i, j) = heapq.heappop(queue)
            if distance > distances[i, j]:
                continue
            for di, dj, step_m in _NEIGHBOURS:
                k, m = i + di, j + dj
                if 0 <= k < columns and 0 <= m < rows and free[k, m] and distance + step_m < distances[k, m]:
                    distances[k, m] = distance + step_m
                    heapq.heappush(queue, (distance + step_m, (k, m)))
        return distances

    @cached_property
    def _free(self) -> NDArray[np.bool_]:
        """Cells at whose centre a robot fits."""
        along = [(np.arange(round(side / GRID_M)) + 0.5) * GRID_M for side in self.size_m]
        return self.clearances(*np.meshgrid(*along, indexing="ij")) > 0.0

    def _cell(self, x_m: float, y_m: float) -> tuple[int, int]:
        columns, rows = self._free.shape
        return min(max(int(x_m / GRID_M), 0), columns - 1), min(max(int(y_m / GRID_M), 0), rows - 1)

    def straight_is_free(self, a: tuple[float, ...], b: tuple[float, ...]) -> bool:
        """Whether a robot fits everywhere along the line from `a` to `b`."""
        parts = math.ceil(math.hypot(b[0] - a[0], b[1] - a[1]) / GRID_M) + 1
        share = np.linspace(0.0, 1.0, parts)
        return bool((self.clearances(a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share) > 0.0).all())


_NEIGHBOURS = tuple(
    (di, dj, GRID_M * math.hypot(di, dj)) for di in (-1, 0, 1) for dj in (-1, 0, 1) if (di, dj) != (0, 0)
)


def _outer_walls() -> tuple[Wall, ...]:
    """Four walls whose inner faces are at 0 and at the arena's size."""
    size, thick = ARENA_SIZE_M, WALL_THICKNESS_M
    return (
        Wall(-thick, -thick, 0.0, size + thick),
        Wall(size, -thick, size + thick, size + thick),
        Wall(0.0, -thick, size, 0.0),
        Wall(0.0, size, size, size + thick),
    )


def _open(rng: np.random.Generator, start: Pose) -> tuple[tuple[Wall, ...], tuple[Cylinder, ...]]:  # noqa: ARG001
    return _outer_walls(), ()


def _cluttered(rng: np.random.Generator, start: Pose) -> tuple[tuple[Wall, ...], tuple[Cylinder, ...]]:
    """Five cylinders that stand anywhere but on the start and the usual goal, each passable on both sides."""
    walls = _outer_walls()
    cylinders: list[Cylinder] = []
    while len(cylinders) < 5:
        cylinder = Cylinder(rng.uniform(0.0, ARENA_SIZE_M), rng.uniform(0.0, ARENA_SIZE_M), rng.uniform(0.12, 0.25))
        centre = np.array((cylinder.x_m, cylinder.y_m))
        obstacles: tuple[Wall | Cylinder, ...] = (*walls, *cylinders)
        gaps_m = [obstacle.distances_m(*centre) for obstacle in obstacles]
        places_m = cylinder.distances_m(*np.transpose((start[:2], USUAL_GOAL_M)))
        if min(gaps_m) - cylinder.radius_m >= PASSAGE_M and min(places_m) >= 2 * robot.BODY_RADIUS_M:
            cylinders.append(cylinder)
    return walls, tuple(cylinders)


def _doorway(rng: np.random.Generator, start: Pose) -> tuple[tuple[Wall, ...], tuple[Cylinder, ...]]:  # noqa: ARG001
    """Two rooms; the robot starts in the left one, the usual goal is in the right one."""
    middle = rng.uniform(2.2, 2.8)
    door = rng.uniform(0.5 + DOOR_WIDTH_M / 2, ARENA_SIZE_M - 0.5 - DOOR_WIDTH_M / 2)
    x_min, x_max = middle - WALL_THICKNESS_M / 2, middle + WALL_THICKNESS_M / 2
    inner = (
        Wall(x_min, 0.0, x_max, door - DOOR_WIDTH_M / 2),
        Wall(x_min, door + DOOR_WIDTH_M / 2, x_max, ARENA_SIZE_M),
    )
    return (*_outer_walls(), *inner), ()


_BUILDERS: dict[str, Callable[[np.random.Generator, Pose], tuple[tuple[Wall, ...], tuple[Cylinder, ...]]]] = {
    "open": _open,
    "cluttered": _cluttered,
    "doorway": _doorway,
}
ARENAS = tuple(_BUILDERS)


def make_arena(name: str, seed: int = 0) -> Arena:
    """The arena of that name and seed; the seed moves obstacles, the door and the start pose (near (1, 1))."""
    if name not in _BUILDERS:
        raise BridgeError(
            "unknown-arena",
            f"there is no arena {name!r}",
            f"choose one of: {', '.join(ARENAS)}",
            status=Exit.USAGE,
        )
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    start = (rng.uniform(0.7, 1.3), rng.uniform(0.7, 1.3), rng.uniform(-math.pi, math.pi))
    walls, cylinders = _BUILDERS[name](rng, start)
    return Arena(name, seed, (ARENA_SIZE_M, ARENA_SIZE_M), walls, cylinders, start)
