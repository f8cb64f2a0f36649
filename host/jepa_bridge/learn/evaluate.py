"""Does it reach its goals? Closed loop in the twin at 5 Hz without firmware, in one table with floors and ceiling.

    report = evaluate(load_named("small"), "cluttered", episodes=100, seed=0)

Every planner drives the same episodes: learn/heldout.py says which, learn/episodes.py what counts as reached. Rows:

    model           the default cost, gated on confidence as the bridge does it
    model_no_gate   the same, every plan driven: the difference is the gate
    contract_cost   the contract's own cost alone, gated
    random          new random wheels every step: the floor
    straight        towards the goal with reflexes: what needs no model
    oracle          the same MPPI on the twin's true dynamics: the ceiling
"""

from __future__ import annotations

import math
import multiprocessing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jepa_bridge.learn.collect import Simulator, twin_sim
from jepa_bridge.learn.episodes import EpisodeResult, Terms, drive_episode
from jepa_bridge.learn.heldout import arena_seeds, check_held_out
from jepa_bridge.plan.mppi import MppiConfig
from jepa_bridge.world.bundle import World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PLANNERS = ("model", "model_no_gate", "contract_cost", "random", "straight", "oracle")


@dataclass(frozen=True, slots=True)
class Row:
    """One planner over all episodes; `path_ratio` and `steps` are over episodes that reached."""

    planner: str
    reached: float
    reached_low: float  # Wilson 95 % interval
    reached_high: float
    contacts_per_episode: float
    path_ratio: float | None  # way driven over the shortest way around the obstacles
    jerk: float  # of the wheels, see episodes.wheel_jerk
    steps: float | None
    plan_ms: float
    doubted: float | None  # share of plans below the confidence gate
    missed: tuple[int, ...]  # numbers of the episodes not reached, to look at


@dataclass(frozen=True, slots=True)
class Report:
    """What `evaluate` found; `to_json` is for machines."""

    arena: str
    episodes: int
    seed: int
    rows: tuple[Row, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values only."""
        return asdict(self)


def evaluate(
    world: World,
    arena: str,
    episodes: int,
    seed: int,
    *,
    planners: tuple[str, ...] = PLANNERS,
    config: MppiConfig | None = None,
    dynamics: float = 0.0,
    across: bool = False,
    arena_seed: int | None = None,
    known_map: bool = False,
    workers: int = 1,
    make_sim: Callable[[str, int, Any], Simulator] = twin_sim,
    progress: Callable[[int, int, str], None] | None = None,
) -> Report:
    """Drive every planner through the same held-out episodes.

    `dynamics` is how far the robots are off the twin, a share; `across` puts all goals into the other room.
    `arena_seed` fixes the map, which must be one that the model was not trained in unless `known_map` says that the
    model lives there; starts and goals are drawn from streams that collecting does not use either way.
    """
    seeds = arena_seeds(arena, seed, episodes, arena_seed)
    if not known_map:
        check_held_out(world.card, arena, seeds)
    terms = Terms(arena, seed, planners, config or MppiConfig(), make_sim, dynamics, across)
    results: list[EpisodeResult] = []

    def finished(episode: list[EpisodeResult]) -> None:
        results.extend(episode)
        if progress:
            first = [result.reached for result in results if result.planner == planners[0]]
            progress(len(first), episodes, f"{planners[0]}: {sum(first)} of {len(first)} reached")

    if workers <= 1:
        for number, map_seed in enumerate(seeds):
            finished(drive_episode(terms, number, map_seed, world))
    else:
        jobs = [(world.path, terms, number, map_seed) for number, map_seed in enumerate(seeds)]
        # spawn: a forked copy of threads that MuJoCo or onnxruntime started can hang
        with multiprocessing.get_context("spawn").Pool(min(workers, episodes)) as pool:
            for episode in pool.imap_unordered(_in_worker, jobs):
                finished(episode)
    results.sort(key=lambda result: result.number)  # workers finish in any order; sums of floats must not
    return Report(
        arena,
        episodes,
        seed,
        tuple(_row(name, [result for result in results if result.planner == name]) for name in planners),
    )


_loaded: dict[Path, World] = {}  # a worker process loads a bundle once


def _in_worker(job: tuple[Path, Terms, int, int]) -> list[EpisodeResult]:
    bundle, terms, number, map_seed = job
    if bundle not in _loaded:
        _loaded[bundle] = World.load(bundle)
    return drive_episode(terms, number, map_seed, _loaded[bundle])


def _row(planner: str, results: list[EpisodeResult]) -> Row:
    solved = [item for item in results if item.reached]
    low, high = wilson(len(solved), len(results))
    doubted = [item.doubted for item in results if item.doubted is not None]
    return Row(
        planner=planner,
        reached=round(len(solved) / len(results), 4),
        reached_low=round(low, 4),
        reached_high=round(high, 4),
        contacts_per_episode=round(sum(item.contacts for item in results) / len(results), 3),
        path_ratio=round(float(np.mean([item.path_m / item.shortest_m for item in solved])), 3) if solved else None,
        jerk=round(float(np.mean([item.jerk for item in results])), 4),
        steps=round(float(np.mean([item.steps for item in solved])), 1) if solved else None,
        plan_ms=round(float(np.median([item.plan_ms for item in results])), 2),
        doubted=round(float(np.mean(doubted)), 4) if doubted else None,
        missed=tuple(item.number for item in results if not item.reached),
    )


def wilson(successes: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """The Wilson score interval of a share; at 0 or all successes it stays honest where the normal one does not."""
    if trials == 0:
        return 0.0, 1.0
    share = successes / trials
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return max(0.0, middle - half), min(1.0, middle + half)
