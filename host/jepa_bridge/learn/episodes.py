"""One evaluation episode: every planner drives the same robot through the same task, and is judged by the truth.

Reached means: at the end of the episode the true position is within GOAL_RADIUS_M of the goal and the robot stands,
both wheels slower than STANDING_M_S. To pass through is not to arrive. An episode ends when its driver has stopped for
good, after MAX_STEPS at the latest.

The driver does not know the truth. As in the bridge, its own odometry tells it that it has arrived, and from then on
the wheels get zero. It goes on until ARRIVED_SHARE of the radius: wheels that slip in sharp turns put the odometry off
by 10 cm or more now and then, and who stops near the rim stands outside then. Not further than that, because beside a
wall the cost of clearance keeps a robot some 9 cm off its goal, and it would hover there until its time is up.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jepa_bridge.learn.collect import STEP_S, Simulator, Step, wheel_speeds
from jepa_bridge.learn.drivers import (
    CONFIDENCE_GATE,
    Driver,
    ModelDriver,
    OracleDriver,
    RandomDriver,
    StraightDriver,
)
from jepa_bridge.learn.heldout import Task, draw_task, episode_rng, robot_rng
from jepa_bridge.twin import robot
from jepa_bridge.types import Goal, Observation

if TYPE_CHECKING:
    from collections.abc import Callable

    from jepa_bridge.plan.mppi import MppiConfig
    from jepa_bridge.world.bundle import WorldModel

GOAL_RADIUS_M = 0.25
ARRIVED_SHARE = 0.4
STANDING_M_S = 0.02
MAX_STEPS = 100


@dataclass(frozen=True, slots=True)
class Terms:
    """What all episodes of one evaluation share."""

    arena: str
    seed: int
    planners: tuple[str, ...]
    config: MppiConfig
    make_sim: Callable[[str, int, Any], Simulator]
    dynamics: float = 0.0  # how far the robot is off the twin, see Randomisation.off_by
    across: bool = False


@dataclass(frozen=True, slots=True)
class EpisodeResult:
    """One drive."""

    planner: str
    number: int
    reached: bool
    steps: int
    contacts: int  # counted by their beginnings
    path_m: float
    shortest_m: float  # to where a driver counts as arrived
    jerk: float  # mean squared second difference of the wheel commands until arrival
    plan_ms: float  # median time to choose an action
    doubted: float | None  # share of plans below the confidence gate; None: not a planner on a learned model


def drive_episode(terms: Terms, number: int, arena_seed: int, world: WorldModel) -> list[EpisodeResult]:
    """All planners, one after the other, in one simulator: drawing its map and its ways costs more than a drive."""
    randomisation = None
    if terms.dynamics:
        from jepa_bridge.twin.randomise import Randomisation  # noqa: PLC0415  # only for robots that are off

        randomisation = Randomisation.off_by(terms.dynamics, robot_rng(terms.seed, number))
    sim = terms.make_sim(terms.arena, arena_seed, randomisation)
    rng = episode_rng(terms.arena, terms.seed, number)
    rng.integers(1)  # the arena's seed was drawn here
    task = draw_task(sim.arena, rng, across=terms.across)
    driver_seed = int(rng.integers(2**31))
    results: dict[str, EpisodeResult] = {}
    for planner in terms.planners:
        if planner == "model_no_gate" and "model" in results and results["model"].doubted == 0.0:
            results[planner] = replace(results["model"], planner=planner)  # a gate that never shut: the same drive
        else:
            driver = make_driver(planner, terms.config, driver_seed, world, sim)
            results[planner] = drive(sim, task, planner, driver, number)
    return list(results.values())


def make_driver(planner: str, config: MppiConfig, seed: int, world: WorldModel, sim: Simulator) -> Driver:
    """The driver of that name: a row of the table."""
    match planner:
        case "model":
            return ModelDriver(world, config, seed, gate=True)
        case "model_no_gate":
            return ModelDriver(world, config, seed, gate=False)
        case "contract_cost":
            return ModelDriver(world, replace(config, cost="embedding"), seed, gate=True)
        case "random":
            return RandomDriver(seed)
        case "straight":
            return StraightDriver()
        case "oracle":
            return OracleDriver(sim, config, seed)  # type: ignore[arg-type]
    raise ValueError(f"expected a planner of the table, got {planner!r}")


def drive(sim: Simulator, task: Task, planner: str, driver: Driver, number: int = 0) -> EpisodeResult:
    """From the start until the driver stands for good."""
    goal = Goal(*task.goal_m, radius_m=GOAL_RADIUS_M)
    state = sim.reset(task.start)
    touching, contacts, path_m, arrived, speed_m_s, step = state.contact, 0, 0.0, False, 0.0, 0
    wheels: list[tuple[float, float]] = []
    times_s: list[float] = []
    while step < MAX_STEPS and not (arrived and speed_m_s < STANDING_M_S):
        # the ceiling knows where it is
        observation = observe(state, step, wheel_speeds(sim), truth=planner == "oracle")
        arrived = arrived or goal.distance_m(observation) <= ARRIVED_SHARE * goal.radius_m
        left, right = 0.0, 0.0
        if not arrived:
            began_s = time.perf_counter()
            left, right = driver(observation, goal, step)
            times_s.append(time.perf_counter() - began_s)
            wheels.append((left, right))
        before = state.true_pose
        state = sim.step(left, right)
        step += 1
        speed_m_s = wheel_point_speed_m_s(before, state.true_pose)
        path_m += math.hypot(state.true_pose[0] - before[0], state.true_pose[1] - before[1])
        contacts += state.contact and not touching
        touching = state.contact
    off_m = math.hypot(state.true_pose[0] - goal.x_m, state.true_pose[1] - goal.y_m)
    said = driver.confidences if isinstance(driver, ModelDriver) else []
    return EpisodeResult(
        planner=planner,
        number=number,
        reached=off_m <= GOAL_RADIUS_M and speed_m_s < STANDING_M_S,
        steps=step,
        contacts=contacts,
        path_m=path_m,
        shortest_m=task.shortest_m - ARRIVED_SHARE * GOAL_RADIUS_M,
        jerk=wheel_jerk(wheels),
        plan_ms=float(np.median(times_s)) * 1e3,
        doubted=float(np.mean(np.array(said) < CONFIDENCE_GATE)) if said else None,
    )


def wheel_point_speed_m_s(before: tuple[float, float, float], after: tuple[float, float, float]) -> float:
    """The faster of the two points under the wheels, averaged over a step: a robot that spins does not stand."""
    way_m = math.hypot(after[0] - before[0], after[1] - before[1])
    turn_rad = abs(math.remainder(after[2] - before[2], 2.0 * math.pi))
    return (way_m + turn_rad * robot.TRACK_M / 2) / STEP_S


def wheel_jerk(wheels: list[tuple[float, float]]) -> float:
    """Mean over steps and wheels of (w[t] - 2 w[t-1] + w[t-2])^2, w in [-1, 1]: commands are speeds, so this is jerk.

    A command that flips between full forward and full backward each step has 16, a constant one 0.
    """
    return float(np.square(np.diff(np.array(wheels), n=2, axis=0)).mean()) if len(wheels) > 2 else 0.0


def observe(state: Step, step: int, speeds_m_s: tuple[float, float], *, truth: bool = False) -> Observation:
    """What the bridge would have made of the frame after `step` steps; with `truth` at the pose nobody knows."""
    x_m, y_m, heading_rad = state.true_pose if truth else state.pose
    ranges_m = tuple(None if math.isnan(value) else float(value) for value in state.ranges_m)
    left, right = (0.0 if math.isnan(speed) else float(speed) for speed in speeds_m_s)
    return Observation(step, step * 200_000, ranges_m, float(x_m), float(y_m), float(heading_rad), left, right)
