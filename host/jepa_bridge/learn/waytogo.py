"""Does distance in the embedding mean way to go? Between observations and pose-only goals, in arenas never trained in.

found = way_to_go(module.encoder, "cluttered")
spearman(found.embedding, found.path_m)
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jepa_bridge.learn.collect import EVALUATION_SEEDS
from jepa_bridge.learn.geometry import look, ways_m
from jepa_bridge.learn.validate import spearman
from jepa_bridge.twin.arena import Arena, make_arena
from jepa_bridge.types import Goal
from jepa_bridge.world.vector import FloatArray, goal_vector, pack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

MIN_WAY_M = 0.25  # nearer than the usual goal radius there is no way to go


@dataclass(frozen=True, slots=True)
class WayToGo:
    """Pairs of a robot somewhere and a goal elsewhere, N of them."""

    embedding: npt.NDArray[Any]  # [N] distance between the embeddings, in the unit of what measured it
    path_m: npt.NDArray[Any]  # [N] metres around the obstacles
    across: npt.NDArray[np.bool_]  # [N] an inner wall stands between the two


def way_to_go(
    encode: Callable[[FloatArray], FloatArray],
    arena_name: str,
    arena_seeds: Sequence[int] | None = None,
    *,
    arenas: int = 8,
    goals: int = 6,
    starts: int = 40,
    seed: int = 0,
    distance: Callable[[FloatArray, FloatArray], npt.NDArray[Any]] | None = None,
) -> WayToGo:
    """Draw goals and starts in held-out arenas, or in those of `arena_seeds`; `encode` is [B, 11] -> [B, D].

    `distance` is what is judged: embeddings [S, D], goal [1, D] -> [S]; the Euclidean one if none is given.
    """
    rng = np.random.default_rng([zlib.crc32(arena_name.encode()), seed])
    if arena_seeds is None:
        arena_seeds = [EVALUATION_SEEDS + int(rng.integers(EVALUATION_SEEDS)) for _ in range(arenas)]
    embedding, path_m, across = [], [], []
    for arena_seed in arena_seeds:
        arena = make_arena(arena_name, arena_seed)
        for _ in range(goals):
            x_m, y_m, _ = arena.sample_free_pose(rng, 0.1)
            poses = np.array([arena.sample_free_pose(rng) for _ in range(starts)])  # [S, 3]
            ranges_m, _ = look(arena, poses)
            goal = encode(goal_vector(Goal(x_m, y_m))[None])  # [1, D]
            ways = ways_m(arena, (x_m, y_m), poses)
            far = np.isfinite(ways) & (ways >= MIN_WAY_M)
            here = encode(pack(ranges_m, poses))  # [S, D]
            to_go = np.linalg.norm(here - goal, axis=1) if distance is None else distance(here, goal)  # [S]
            embedding.append(to_go[far])
            path_m.append(ways[far])
            across.append(_across(arena, x_m, poses)[far])
    return WayToGo(np.concatenate(embedding), np.concatenate(path_m), np.concatenate(across))


def summary(found: WayToGo) -> dict[str, float | int]:
    """Spearman's rank correlation, and the same over the pairs with a wall between them, if there are such."""
    figures: dict[str, float | int] = {
        "pairs": len(found.path_m),
        "spearman": round(spearman(found.embedding, found.path_m), 4),
    }
    if found.across.any():
        figures["pairs_across_wall"] = int(found.across.sum())
        figures["spearman_across_wall"] = round(spearman(found.embedding[found.across], found.path_m[found.across]), 4)
    return figures


def _across(arena: Arena, goal_x_m: float, poses: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """[S]: whether goal and pose are on two sides of the inner wall; never in an arena without one."""
    inner = [wall for wall in arena.walls if wall.x_min_m > 0.0 and wall.x_max_m < arena.size_m[0]]
    if not inner:
        return np.zeros(len(poses), np.bool_)
    middle_m = (inner[0].x_min_m + inner[0].x_max_m) / 2
    apart: npt.NDArray[np.bool_] = (poses[:, 0] < middle_m) != (goal_x_m < middle_m)
    return apart
