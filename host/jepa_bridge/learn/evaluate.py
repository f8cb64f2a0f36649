"""Does it reach its goals? Closed loop in the twin at 5 Hz without firmware, beside planners that know nothing.

    report = evaluate(load_named("small"), "cluttered", episodes=100, seed=0)

Reached means: within GOAL_RADIUS_M of the goal for the first time, by the true pose, within MAX_STEPS. Start and goal
are further apart than MIN_DISTANCE_M, so none is solved at the start. Arenas are drawn from seeds that collecting
never uses. Contacts are counted by their beginnings.
"""

from __future__ import annotations

import math
import multiprocessing
import time
import zlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from jepa_bridge.learn.collect import EVALUATION_SEEDS, Simulator, Step, twin_sim, wheel_speeds
from jepa_bridge.plan.mppi import MppiConfig, Planner, shift
from jepa_bridge.types import RANGE_BEARINGS_RAD, Goal, Observation
from jepa_bridge.world.bundle import World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jepa_bridge.world.vector import FloatArray

GOAL_RADIUS_M = 0.25
MAX_STEPS = 100
MIN_DISTANCE_M = 1.0
CONFIDENCE_GATE = 0.5  # the contract's
FLOORS = ("straight", "random")


@dataclass(frozen=True, slots=True)
class EpisodeResult:
    """One drive."""

    planner: str
    seed: int
    reached: bool
    steps: int
    contacts: int
    path_m: float
    shortest_m: float
    jerk: float  # mean squared second difference of the wheel commands
    plan_ms: float  # median time to choose an action
    doubted: float | None  # share of plans that the confidence gate would not drive; None: not a planner


@dataclass(frozen=True, slots=True)
class Row:
    """One planner over all episodes; `path_ratio` and `steps` are over episodes that reached."""

    planner: str
    reached: float
    reached_low: float  # Wilson 95 % interval
    reached_high: float
    contacts_per_episode: float
    path_ratio: float | None
    steps: float | None
    jerk: float
    plan_ms: float
    doubted: float | None  # here they are driven all the same, so that the figure says what the gate would cost


@dataclass(frozen=True, slots=True)
class Report:
    """What `evaluate` found; `to_json` is for machines."""

    arena: str
    episodes: int
    seed: int
    model_hash: str
    rows: tuple[Row, ...]
    missed: tuple[int, ...]  # arena seeds of the model's failures, to look at

    def to_json(self) -> dict[str, Any]:
        """Plain values only."""
        return {**asdict(self), "rows": [asdict(row) for row in self.rows], "missed": list(self.missed)}


class Driver(Protocol):
    """Chooses the wheels for the next step."""

    def __call__(self, observation: Observation, goal: Goal, index: int) -> tuple[float, float]:
        """Left and right in [-1, 1]; `index` counts from 0 within an episode."""


class ModelDriver:
    """MPPI through the world model, as the bridge drives it: each plan starts from the one before, shifted."""

    def __init__(self, world: World, config: MppiConfig, seed: int) -> None:
        self._planner = Planner(world, config, seed)
        self._actions: FloatArray | None = None
        self.confidences: list[float] = []

    def __call__(self, observation: Observation, goal: Goal, index: int) -> tuple[float, float]:
        """The plan's first action."""
        warm_start = None if self._actions is None or index == 0 else shift(self._actions, 1)
        plan = self._planner.plan(observation, goal, index, warm_start)
        self._actions = np.array(plan.actions, np.float32)
        self.confidences.append(plan.confidence)
        return plan.actions[0]


class StraightDriver:
    """Turn to the goal, drive there, and turn aside for what is closer than a hand: no model, no future."""

    def __call__(self, observation: Observation, goal: Goal, index: int) -> tuple[float, float]:
        """A proportional controller with reflexes."""
        del index
        wanted = math.atan2(goal.y_m - observation.y_m, goal.x_m - observation.x_m)
        bearing = math.remainder(wanted - observation.heading_rad, 2.0 * math.pi)
        turn = 0.5 * bearing
        ahead = max(0.0, math.cos(bearing)) * min(1.0, 2.0 * goal.distance_m(observation))
        for range_m, side in zip(observation.ranges_m[:3], RANGE_BEARINGS_RAD[:3], strict=True):
            if range_m is not None and range_m < 0.2:
                turn -= math.copysign(0.4, side if side else bearing) * (1.0 - range_m / 0.2)
                ahead *= range_m / 0.2
        return max(-1.0, min(1.0, ahead - turn)), max(-1.0, min(1.0, ahead + turn))


class RandomDriver:
    """New random wheels every step: the floor."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def __call__(self, observation: Observation, goal: Goal, index: int) -> tuple[float, float]:
        """Uniform in [-1, 1]."""
        del observation, goal, index
        left, right = self._rng.uniform(-1.0, 1.0, 2)
        return float(left), float(right)


def evaluate(
    world: World,
    arena: str,
    episodes: int,
    seed: int,
    *,
    config: MppiConfig | None = None,
    costs: tuple[str, ...] = ("clearance",),
    floors: tuple[str, ...] = FLOORS,
    workers: int = 1,
    make_sim: Callable[[str, int, Any], Simulator] = twin_sim,
    progress: Callable[[int, int, str], None] | None = None,
) -> Report:
    """Drive every planner through the same held-out episodes. Rows: `model` for the first of `costs`, then
    `<cost>_cost` for the others (`contract_cost` for `embedding`), then the floors.
    """
    names = {"model": costs[0]}
    names.update({"contract_cost" if cost == "embedding" else f"{cost}_cost": cost for cost in costs[1:]})
    jobs = [
        _Job(world.path, arena, seed, number, name, names.get(name), config or MppiConfig(), make_sim)
        for name in (*names, *floors)
        for number in range(episodes)
    ]
    results: list[EpisodeResult] = []
    began = time.monotonic()

    def finished(result: EpisodeResult) -> None:
        results.append(result)
        if progress:
            same = [other.reached for other in results if other.planner == result.planner]
            eta_s = round((time.monotonic() - began) / len(results) * (len(jobs) - len(results)))
            progress(len(results), len(jobs), f"{result.planner}: {sum(same)} of {len(same)} reached, {eta_s} s left")

    if workers <= 1:
        for job in jobs:
            finished(_drive(job, world))
    else:
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            for result in pool.imap(_drive, jobs, chunksize=4):
                finished(result)
    rows = tuple(_row(name, [item for item in results if item.planner == name]) for name in (*names, *floors))
    missed = tuple(item.seed for item in results if item.planner == "model" and not item.reached)
    return Report(arena, episodes, seed, world.hash, rows, missed)


@dataclass(frozen=True, slots=True)
class _Job:
    bundle: Path
    arena: str
    seed: int
    number: int
    planner: str
    cost: str | None
    config: MppiConfig
    make_sim: Callable[[str, int, Any], Simulator]


_loaded: dict[Path, World] = {}  # a worker process loads a bundle once


def _drive(job: _Job, world: World | None = None) -> EpisodeResult:
    rng = np.random.default_rng([zlib.crc32(job.arena.encode()), job.seed, job.number])
    arena_seed = EVALUATION_SEEDS + int(rng.integers(EVALUATION_SEEDS))
    sim = job.make_sim(job.arena, arena_seed, None)
    start = sim.arena.sample_free_pose(rng, 0.1)
    goal_x, goal_y = sim.arena.sample_goal(rng, start, MIN_DISTANCE_M)
    goal = Goal(float(goal_x), float(goal_y), radius_m=GOAL_RADIUS_M)

    driver: Driver
    if job.cost is not None:
        if world is None:
            if job.bundle not in _loaded:
                _loaded[job.bundle] = World.load(job.bundle)
            world = _loaded[job.bundle]
        values = {**asdict(job.config), "cost": job.cost}
        driver = ModelDriver(world, MppiConfig(**values), seed=job.number)
    else:
        driver = StraightDriver() if job.planner == "straight" else RandomDriver(job.number)

    state = sim.reset(start)
    touching, contacts, path_m, reached, step = state.contact, 0, 0.0, False, 0
    wheels, times = [], []
    for step in range(MAX_STEPS):
        began = time.perf_counter()
        left, right = driver(observe(state, step, wheel_speeds(sim)), goal, step)
        times.append(time.perf_counter() - began)
        wheels.append((left, right))
        before = state.true_pose
        state = sim.step(left, right)
        path_m += math.hypot(state.true_pose[0] - before[0], state.true_pose[1] - before[1])
        contacts += state.contact and not touching
        touching = state.contact
        if math.hypot(state.true_pose[0] - goal.x_m, state.true_pose[1] - goal.y_m) <= goal.radius_m:
            reached = True
            break
    said = driver.confidences if isinstance(driver, ModelDriver) else []
    jerk = float(np.square(np.diff(np.array(wheels), n=2, axis=0)).mean()) if len(wheels) > 2 else 0.0
    shortest_m = max(_shortest(sim, start, goal) - GOAL_RADIUS_M, 1e-6)
    return EpisodeResult(
        planner=job.planner,
        seed=arena_seed,
        reached=reached,
        steps=step + 1,
        contacts=contacts,
        path_m=path_m,
        shortest_m=shortest_m,
        jerk=jerk,
        plan_ms=float(np.median(times)) * 1e3,
        doubted=float(np.mean(np.array(said) < CONFIDENCE_GATE)) if said else None,
    )


def observe(state: Step, step: int, speeds_m_s: tuple[float, float]) -> Observation:
    """What the bridge would have made of the frame after `step` steps."""
    x_m, y_m, heading_rad = state.pose
    ranges_m = tuple(None if math.isnan(value) else float(value) for value in state.ranges_m)
    left, right = (0.0 if math.isnan(speed) else float(speed) for speed in speeds_m_s)
    return Observation(step, step * 200_000, ranges_m, float(x_m), float(y_m), float(heading_rad), left, right)


def _shortest(sim: Simulator, start: tuple[float, ...], goal: Goal) -> float:
    """Metres of way around the obstacles, where the arena can say; else the straight line."""
    if hasattr(sim.arena, "path_length"):
        return float(sim.arena.path_length(start, (goal.x_m, goal.y_m)))
    return math.hypot(goal.x_m - start[0], goal.y_m - start[1])


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
        steps=round(float(np.mean([item.steps for item in solved])), 1) if solved else None,
        jerk=round(float(np.mean([item.jerk for item in results])), 4),
        plan_ms=round(float(np.median([item.plan_ms for item in results])), 2),
        doubted=round(float(np.mean(doubted)), 4) if doubted else None,
    )


def wilson(successes: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """The Wilson score interval of a share; at 0 or all successes it stays honest where the normal one does not."""
    if trials == 0:
        return 0.0, 1.0
    share = successes / trials
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return max(0.0, middle - half), min(1.0, middle + half)
