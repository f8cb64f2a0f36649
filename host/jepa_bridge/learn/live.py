"""Drives of one robot, to the goals that a model chooses its way to and exploring: what a log would hold, as shards.

live(load_named("small"), "doorway", 400, Path("lived"), map_seed=7)

The twin's stand-in for days in a place. With `map_seed` all drives are in that one map, else each is in its own.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from jepa_bridge.learn.collect import EVALUATION_SEEDS, SHARD_FORMAT, STEP_S, twin_sim, wheel_speeds
from jepa_bridge.learn.episodes import observe
from jepa_bridge.learn.explore import Explorer
from jepa_bridge.plan.compiled import make_planner
from jepa_bridge.plan.mppi import shift
from jepa_bridge.types import Goal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from jepa_bridge.learn.collect import Simulator
    from jepa_bridge.plan.compiled import Planner
    from jepa_bridge.world.bundle import WorldModel

SHARD_EPISODES = 25
NEAR_M = 0.2  # of a goal: on to the next one
PATIENCE_STEPS = 60  # with one goal


def live(
    world: WorldModel,
    arena: str,
    episodes: int,
    out_dir: Path,
    *,
    map_seed: int | None = None,
    seed: int = 0,
    steps: int = 100,
    explore: float = 0.7,
    make_sim: Callable[[str, int, Any], Simulator] = twin_sim,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Path]:
    """Write the drives' shards; those that are there are kept. `explore` is the share of drives without a goal."""
    out_dir.mkdir(parents=True, exist_ok=True)
    paths = []
    for shard, first in enumerate(range(0, episodes, SHARD_EPISODES)):
        count = min(SHARD_EPISODES, episodes - first)
        where = "each" if map_seed is None else str(map_seed)
        path = out_dir / f"lived-{arena}-map{where}-s{seed}-{shard:04d}-{count}x{steps}.npz"
        paths.append(path)
        if not path.exists():
            drives = []
            for episode in range(first, first + count):
                rng = np.random.default_rng([seed, episode])
                drawn = int(rng.integers(EVALUATION_SEEDS))
                sim = make_sim(arena, drawn if map_seed is None else map_seed, None)
                drives.append(_drive(sim, None if rng.random() < explore else make_planner(world), rng, steps))
            _write(path, drives, arena)
        if progress:
            progress(first + count, episodes, path.name)
    return paths


def _drive(
    sim: Simulator, planner: Planner | None, rng: np.random.Generator, steps: int
) -> dict[str, npt.NDArray[Any]]:
    """One drive's arrays; with a planner to one random goal after the other."""
    state = sim.reset(sim.arena.sample_free_pose(rng, 0.05))
    explorer = Explorer(rng)
    goal: Goal | None = None
    plan: npt.NDArray[np.float32] | None = None
    since = 0
    ranges, poses, true_poses, speeds, actions, contacts = [], [], [], [], [], []
    for step in range(steps + 1):
        observation = observe(state, step, wheel_speeds(sim))
        ranges.append(state.ranges_m)
        poses.append(state.pose)
        true_poses.append(state.true_pose)
        speeds.append(wheel_speeds(sim))
        contacts.append(state.contact)
        if step == steps:
            break
        if planner is None:
            action = explorer.action(np.asarray(state.ranges_m, np.float32))
        else:
            if goal is None or goal.distance_m(observation) < NEAR_M or since >= PATIENCE_STEPS:
                x_m, y_m, _ = sim.arena.sample_free_pose(rng, 0.1)
                goal, plan, since = Goal(float(x_m), float(y_m)), None, 0
            plan = np.array(planner.plan(observation, goal, step, plan).actions, np.float32)
            action, plan = plan[0], shift(plan, 1)
            since += 1
        actions.append(action)
        state = sim.step(float(action[0]), float(action[1]))
    return {
        "ranges_m": np.array(ranges, np.float32),  # [T + 1, 8]
        "pose": np.array(poses, np.float32),  # [T + 1, 3]
        "true_pose": np.array(true_poses, np.float32),  # [T + 1, 3]
        "wheels_m_s": np.array(speeds, np.float32),  # [T + 1, 2]
        "actions": np.array(actions, np.float32),  # [T, 2]
        "contact": np.array(contacts, np.bool_),  # [T + 1]
    }


def _write(path: Path, drives: list[dict[str, npt.NDArray[Any]]], arena: str) -> None:
    """In one move: a shard that exists is whole."""
    arrays = {name: np.stack([drive[name] for drive in drives]) for name in drives[0]}
    meta = {"format": SHARD_FORMAT, "arena": arena, "source": "lived", "step_s": STEP_S}
    partial = path.with_suffix(f".{os.getpid()}.partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, meta=np.array(json.dumps(meta)), **arrays)
    partial.replace(path)
