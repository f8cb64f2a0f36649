"""Which episodes an evaluation drives, and that no model was trained on their maps.

Collecting draws arena seeds below EVALUATION_SEEDS, evaluating draws them from there on, so the two never share a map.
A map that is chosen by its number can lie on either side: it is compared with those that the model's card accounts for.
"""

from __future__ import annotations

import math
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.learn import collect
from jepa_bridge.learn.collect import EVALUATION_SEEDS

if TYPE_CHECKING:
    from jepa_bridge.world.card import Card

MIN_DISTANCE_M = 1.0
# First words of the seeds: collecting and evaluating must not share a random stream. Their lengths alone do not part
# them, because numpy pads a seed with zeros: [a, b, c] and [a, b, c, 0] give the same numbers.
_EPISODE, _ROBOT = zlib.crc32(b"evaluation episode"), zlib.crc32(b"evaluation robot")
_SHARD = re.compile(r"^(?P<arena>[a-z]+)-s(?P<seed>\d+)-(?P<shard>\d{4})-(?P<episodes>\d+)x\d+-r\d{3}\.npz$")
_TRIES = 10_000


@dataclass(frozen=True, slots=True)
class Task:
    """From where to where, and how far that is around the obstacles."""

    start: tuple[float, float, float]
    goal_m: tuple[float, float]
    shortest_m: float


def episode_rng(arena: str, seed: int, number: int) -> np.random.Generator:
    """Draws the arena's seed first, then the task."""
    return np.random.default_rng([_EPISODE, zlib.crc32(arena.encode()), seed, number])


def robot_rng(seed: int, number: int) -> np.random.Generator:
    """Draws how the robot of an episode is off; a stream of its own, so that the task is the same for any robot."""
    return np.random.default_rng([_ROBOT, seed, number])


def arena_seeds(arena: str, seed: int, episodes: int, fixed: int | None) -> list[int]:
    """The maps of an evaluation's episodes."""
    if fixed is not None:
        return [fixed] * episodes
    return [
        EVALUATION_SEEDS + int(episode_rng(arena, seed, number).integers(EVALUATION_SEEDS))
        for number in range(episodes)
    ]


def trained_arena_seeds(card: Card, arena: str) -> set[int]:
    """The maps of one arena that the model was trained in, as far as its card tells.

    A shard's name says all that its arenas were drawn from; `arena_seeds` in the card's data, {arena: [seed, ...]},
    adds what came from elsewhere.
    """
    seeds = {int(seed) for seed in card.data.get("arena_seeds", {}).get(arena, ())}
    for name in card.data.get("names", ()):
        found = _SHARD.match(name)
        if found and found["arena"] == arena:
            seeds |= {
                collect.arena_seed(collect.episode_rng(arena, int(found["seed"]), int(found["shard"]), episode))
                for episode in range(int(found["episodes"]))
            }
    return seeds


def check_held_out(card: Card, arena: str, seeds: list[int]) -> None:
    """Raise BridgeError if the model was trained in a map of these."""
    shared = sorted(set(seeds) & trained_arena_seeds(card, arena))
    if shared:
        raise BridgeError(
            "not-held-out",
            f"the model was trained in {arena} {', '.join(map(str, shared[:3]))}, so driving there is no held-out test",
            "choose another --arena-seed, or say --known-map if the model is meant to know this map",
            status=Exit.USAGE,
        )


def draw_task(arena: Any, rng: np.random.Generator, *, across: bool) -> Task:
    """A start, and a goal further than MIN_DISTANCE_M from it that has a way; `across`: beyond the inner wall."""
    wall_m = _inner_wall_m(arena) if across else None
    start = arena.sample_free_pose(rng, 0.1)
    for _ in range(_TRIES):
        x_m, y_m, _ = arena.sample_free_pose(rng, 0.1)
        straight_m = math.hypot(x_m - start[0], y_m - start[1])
        if straight_m <= MIN_DISTANCE_M or (wall_m is not None and (x_m > wall_m) == (start[0] > wall_m)):
            continue
        shortest_m = arena.path_length(start, (x_m, y_m)) if hasattr(arena, "path_length") else straight_m
        if math.isfinite(shortest_m):
            return Task(start, (float(x_m), float(y_m)), float(shortest_m))
    raise BridgeError("no-goal", f"arena {arena.name} has no reachable place more than {MIN_DISTANCE_M} m away")


def _inner_wall_m(arena: Any) -> float:
    """x of the wall between two rooms."""
    width_m = arena.size_m[0]
    middles = [(wall.x_min_m + wall.x_max_m) / 2 for wall in arena.walls]
    inner = [
        middle for middle, wall in zip(middles, arena.walls, strict=True) if 0 < wall.x_min_m < wall.x_max_m < width_m
    ]
    if not inner:
        raise BridgeError(
            "no-other-room",
            f"arena {arena.name} is one room: no goal lies across a wall",
            "leave --across out, or choose --arena doorway",
            status=Exit.USAGE,
        )
    return float(inner[0])
