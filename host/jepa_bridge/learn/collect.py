"""Experience from the twin, in shards that any later run can make again.

    collect("cluttered", episodes=400, out_dir=Path("data"), seed=1, workers=2)

A shard is a function of (arena, seed, shard number) and the settings in its `meta`: who collects, in which order and on
how many cores changes nothing. Shards that are there are kept, so an interrupted run goes on where it stopped.
The format is in ARCHITECTURE.md, "The model".
"""

from __future__ import annotations

import contextlib
import json
import math
import multiprocessing
import os
import zlib
from dataclasses import asdict, dataclass, is_dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

import jepa_bridge
from jepa_bridge.learn.explore import Explorer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

SHARD_FORMAT = 1
STEP_S = 0.2
EVALUATION_SEEDS = 1_000_000_000  # arena seeds from here on are for evaluation only; collecting draws below it


class Step(Protocol):
    """What a simulator says after a step; the twin's StepState."""

    @property
    def ranges_m(self) -> Any:
        """[8] metres, NaN is no reading."""

    @property
    def pose(self) -> tuple[float, float, float]:
        """Odometry: x m, y m, heading rad."""

    @property
    def true_pose(self) -> tuple[float, float, float]:
        """Where it really is."""

    @property
    def contact(self) -> bool:
        """Whether the body touches something."""


class Simulator(Protocol):
    """What collecting needs of the twin's EpisodeSim; one step is 0.2 s."""

    arena: Any

    def reset(self, pose: Any = None) -> Step:
        """Place the robot."""

    def step(self, left: float, right: float) -> Step:
        """Drive for one step with wheels in [-1, 1]."""


@dataclass(frozen=True, slots=True)
class ShardJob:
    """Everything a shard depends on, and where it goes."""

    path: Path
    arena: str
    seed: int
    shard: int
    episodes: int
    steps: int
    randomised: float
    make_sim: Callable[[str, int, Any], Simulator]


def twin_sim(arena: str, seed: int, randomisation: Any) -> Simulator:
    """The twin, in this process."""
    from jepa_bridge.twin.episode import EpisodeSim  # noqa: PLC0415  # MuJoCo: only who collects needs it

    return EpisodeSim(arena, seed, randomisation=randomisation)


def collect(
    arena: str,
    episodes: int,
    out_dir: Path,
    seed: int,
    workers: int = 1,
    *,
    steps: int = 100,
    shard_episodes: int = 50,
    randomised: float = 0.5,
    make_sim: Callable[[str, int, Any], Simulator] = twin_sim,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Path]:
    """Write `episodes` episodes of `steps` steps, each in an arena of its own; returns all shards, old and new.

    `randomised` is the share of episodes driven by a robot that is not quite the twin (see twin/randomise.py).
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    jobs = []
    for shard, first in enumerate(range(0, episodes, shard_episodes)):
        count = min(shard_episodes, episodes - first)
        # settings in the name: a run with others makes shards of its own instead of keeping these
        name = f"{arena}-s{seed}-{shard:04d}-{count}x{steps}-r{round(100 * randomised):03d}.npz"
        jobs.append(ShardJob(out_dir / name, arena, seed, shard, count, steps, randomised, make_sim))
    todo = [job for job in jobs if not job.path.exists()]
    done = sum(job.episodes for job in jobs) - sum(job.episodes for job in todo)
    if progress and todo:
        progress(done, episodes, f"{arena}: {len(jobs) - len(todo)} of {len(jobs)} shards were there")

    def finished(job: ShardJob) -> None:
        nonlocal done
        done += job.episodes
        if progress:
            progress(done, episodes, job.path.name)

    if workers <= 1 or len(todo) <= 1:
        for job in todo:
            finished(write_shard(job))
    else:
        # spawn: a forked copy of threads that MuJoCo or onnxruntime started can hang
        with multiprocessing.get_context("spawn").Pool(min(workers, len(todo))) as pool:
            for job in pool.imap_unordered(write_shard, todo):
                finished(job)
    return [job.path for job in jobs]


def write_shard(job: ShardJob) -> ShardJob:
    """Drive one shard's episodes and write it in one move: a shard that exists is whole."""
    arrays: dict[str, npt.NDArray[Any]] = {
        "ranges_m": np.empty((job.episodes, job.steps + 1, 8), np.float32),
        "pose": np.empty((job.episodes, job.steps + 1, 3), np.float32),
        "true_pose": np.empty((job.episodes, job.steps + 1, 3), np.float32),
        "wheels_m_s": np.full((job.episodes, job.steps + 1, 2), np.nan, np.float32),
        "actions": np.empty((job.episodes, job.steps, 2), np.float32),
        "contact": np.zeros((job.episodes, job.steps + 1), np.bool_),
    }
    robots = []
    for episode in range(job.episodes):
        rng = episode_rng(job.arena, job.seed, job.shard, episode)
        robots.append(_drive_episode(job, rng, {name: array[episode] for name, array in arrays.items()}))
    meta = {
        "format": SHARD_FORMAT,
        "arena": job.arena,
        "seed": job.seed,
        "shard": job.shard,
        "step_s": STEP_S,
        "randomised": job.randomised,
        "versions": _versions(),
        "robots": robots,
    }
    partial = job.path.with_suffix(f".{os.getpid()}.partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, meta=np.array(json.dumps(meta)), **arrays)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(job.path)
    return job


def episode_rng(arena: str, seed: int, shard: int, episode: int) -> np.random.Generator:
    """Everything random in one episode; its first draw is the arena's seed."""
    return np.random.default_rng([zlib.crc32(arena.encode()), seed, shard, episode])


def arena_seed(rng: np.random.Generator) -> int:
    """Below EVALUATION_SEEDS, so that no arena that is evaluated in was ever trained in."""
    return int(rng.integers(EVALUATION_SEEDS))


def _drive_episode(job: ShardJob, rng: np.random.Generator, out: dict[str, npt.NDArray[Any]]) -> dict[str, Any] | None:
    """Fill one episode's arrays; returns how its robot deviates, None for the twin as drawn."""
    randomisation = None
    seed = arena_seed(rng)
    if rng.random() < job.randomised:
        from jepa_bridge.twin.randomise import Randomisation  # noqa: PLC0415

        randomisation = Randomisation.sample(rng)
    sim = job.make_sim(job.arena, seed, randomisation)
    # close to a wall as often as free of it: what happens there is what a plan must know
    clearance = 0.02 if rng.random() < 0.5 else 0.2
    state = sim.reset(sim.arena.sample_free_pose(rng, clearance))
    explorer = Explorer(rng)
    for step in range(job.steps + 1):
        out["ranges_m"][step] = state.ranges_m
        out["pose"][step] = state.pose
        out["true_pose"][step] = state.true_pose
        out["contact"][step] = state.contact
        out["wheels_m_s"][step] = wheel_speeds(sim)
        if step < job.steps:
            action = explorer.action(out["ranges_m"][step])
            out["actions"][step] = action
            state = sim.step(float(action[0]), float(action[1]))
    return asdict(randomisation) if is_dataclass(randomisation) else None


def wheel_speeds(sim: Simulator) -> tuple[float, float]:
    """Left, right in m/s as the encoders would say; NaN for a simulator that has no wheels."""
    physics = getattr(sim, "physics", None)
    return physics.wheel_speeds_m_s if physics is not None else (math.nan, math.nan)


def _versions() -> dict[str, str]:
    from importlib import metadata  # noqa: PLC0415

    versions = {"jepa-bridge": jepa_bridge.__version__, "numpy": np.__version__}
    with contextlib.suppress(metadata.PackageNotFoundError):
        versions["mujoco"] = metadata.version("mujoco")
    return versions
