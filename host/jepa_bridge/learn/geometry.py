"""What the eight rays end on, from the arena's drawing: for judging a model, not for training one.

ranges_m, ends_on = look(arena, poses)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from jepa_bridge.twin import robot
from jepa_bridge.types import RANGE_BEARINGS_RAD

if TYPE_CHECKING:
    import numpy.typing as npt

    from jepa_bridge.twin.arena import Arena, Cylinder, Wall

    Floats = npt.NDArray[np.float64]

_TOLERANCE_M = 0.01  # a point lies on its own obstacle


def look(arena: Arena, poses: npt.NDArray[Any]) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Poses [..., 3] -> ranges [..., 8] in metres from the rim, and what each ray ends on [..., 8] as a number.

    Walls are counted first, then cylinders; the number after the last means nothing within reach.
    """
    centre_m, ends_on = _cast(arena, poses[..., None, :2], _along(poses))
    return np.maximum(centre_m - robot.BODY_RADIUS_M, 0.0), ends_on


def hidden(arena: Arena, start: npt.NDArray[Any], later: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Start poses [N, 3], poses [H, N, 3] later -> [H, N, 8]: the ray ends on what was not in view at the start.

    In view is an obstacle that one of the start's eight rays ended on, where it is within reach of the start and
    nothing stands before it. A ray that ends on nothing must have had one beside it at the start that did so too.
    """
    _, seen = look(arena, start)  # [N, 8]
    ranges_m, ends_on = look(arena, later)  # [H, N, 8]
    unmet = (ends_on[..., None] != seen[:, None, :]).all(axis=-1)
    place = later[..., None, :2] + _along(later) * (ranges_m + robot.BODY_RADIUS_M)[..., None]  # [H, N, 8, 2]
    towards = place - start[:, None, :2]
    distance_m = np.linalg.norm(towards, axis=-1)  # [H, N, 8]
    free_m, _ = _cast(arena, start[:, None, :2], towards / np.maximum(distance_m, 1e-9)[..., None])
    nothing = ends_on == len(arena.walls) + len(arena.cylinders)
    new: npt.NDArray[np.bool_] = unmet | (~nothing & (free_m < distance_m - _TOLERANCE_M))
    return new


def ways_m(arena: Arena, goal: tuple[float, float], starts: npt.NDArray[Any]) -> Floats:
    """Metres of way [N] from starts [N, 2 or more] to one goal: `arena.path_length` for many starts at once."""
    grid_m = arena.distances_from(*goal)
    cell_m = arena.size_m[0] / len(grid_m)
    ways = np.empty(len(starts))
    for index, (x_m, y_m) in enumerate(starts[:, :2].tolist()):
        straight_m = math.hypot(goal[0] - x_m, goal[1] - y_m)
        around_m = float(grid_m[int(x_m / cell_m), int(y_m / cell_m)])
        ways[index] = straight_m if arena.straight_is_free((x_m, y_m), goal) else max(around_m, straight_m)
    return ways


def _along(poses: npt.NDArray[Any]) -> Floats:
    """Poses [..., 3] -> unit vectors [..., 8, 2] of the sensors' rays."""
    angles = poses[..., 2:3] + np.array(RANGE_BEARINGS_RAD)
    along: Floats = np.stack((np.cos(angles), np.sin(angles)), axis=-1)
    return along


def _cast(arena: Arena, origin: npt.NDArray[Any], along: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Rays from [..., 2] along [..., 2] -> metres [...] to what is there, within the sensors' reach, and its number."""
    origin = origin.astype(np.float64)
    hits_m = [_wall_m(wall, origin, along) for wall in arena.walls]
    hits_m += [_cylinder_m(cylinder, origin, along) for cylinder in arena.cylinders]
    hits_m.append(np.full(along.shape[:-1], robot.BODY_RADIUS_M + robot.RANGE_MAX_M))
    distances_m = np.stack(hits_m)  # [obstacles + 1, ...]
    return distances_m.min(axis=0), distances_m.argmin(axis=0)


def _wall_m(wall: Wall, origin: Floats, along: Floats) -> Floats:
    """Distance along each ray to a box; infinite: it passes. The slab method."""
    low, high = np.array((wall.x_min_m, wall.y_min_m)), np.array((wall.x_max_m, wall.y_max_m))
    with np.errstate(divide="ignore"):
        one, other = (low - origin) / along, (high - origin) / along  # [N, 8, 2]
    enter = np.minimum(one, other).max(axis=-1)
    leave = np.maximum(one, other).min(axis=-1)
    return np.where((enter <= leave) & (leave >= 0.0), np.maximum(enter, 0.0), np.inf)


def _cylinder_m(cylinder: Cylinder, origin: Floats, along: Floats) -> Floats:
    """Distance along each ray to a cylinder's front; infinite: it passes."""
    towards = np.array((cylinder.x_m, cylinder.y_m)) - origin  # [N, 1, 2]
    nearest = (towards * along).sum(axis=-1)  # [N, 8] along the ray, where it comes closest to the axis
    aside_square = np.square(towards).sum(axis=-1) - np.square(nearest)
    depth_square = cylinder.radius_m**2 - aside_square
    front = nearest - np.sqrt(np.maximum(depth_square, 0.0))
    return np.where((depth_square >= 0.0) & (nearest >= 0.0), np.maximum(front, 0.0), np.inf)
