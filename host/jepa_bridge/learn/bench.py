"""`jepa-bridge bench plan`: how long a plan takes, beside other planners and beside the arithmetic that it must do.

All planners take turns, plan by plan, in one process: a change of clock speed or a busy neighbour meets all of them.
Ours are timed with everything that a plan needs: drawing the samples, encoding, all iterations, the final cost.
"""

from __future__ import annotations

import dataclasses
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from jepa_bridge.learn.baselines import GruModel, StatelessModel, TorchMppi, library_mppi
from jepa_bridge.learn.compile import HORIZON, planner_graph
from jepa_bridge.learn.floor import Product, gflop, measure_floor, plan_products
from jepa_bridge.learn.planner_costs import ClearanceGraph
from jepa_bridge.learn.restore import module_from_bundle
from jepa_bridge.plan.compiled import CompiledPlanner, Planner, make_planner
from jepa_bridge.plan.device import GOAL, OBSERVATION
from jepa_bridge.plan.mppi import MppiConfig, shift
from jepa_bridge.resources import shipped
from jepa_bridge.world.bundle import World, load_named, session_of
from jepa_bridge.world.device import Device
from jepa_bridge.world.vector import goal_vector, observation_vector

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Progress = Callable[[int, int, str], None]

PLANNERS = ("ours", "ours_sampling", "torch_gru", "pytorch_mppi_gru", "pytorch_mppi_ours")
SAMPLES, HORIZONS = (64, 128, 256, 512, 1024, 2048, 4096), (5, 10, 20)
THREADS = (1, 2, 4)
SCALING_ROUNDS = 10  # one for so many of the main rounds: 4,096 samples take their time
WARM_UP = 3
GRU = "gru"  # what stands for the tier of a model that has none
LARGE = Product(256, 256, 256)  # near what a core can do at best: all of it lies in the cache
# fp32 GFLOP/s of one CPU core: clock x 2 pipes x 4 lanes x multiply and add
OTHER_MACHINES = {
    "Raspberry Pi 5 (Cortex-A76, 2.4 GHz)": 2.4 * 16,
    "Jetson Orin Nano (Cortex-A78AE, 1.5 GHz)": 1.5 * 16,
}


@dataclass(slots=True)
class Contestant:
    """A planner with its budget; `plan` makes the plan of that index."""

    planner: str
    tier: str
    config: MppiConfig
    threads: int
    gflop: float
    plan: Callable[[int], object]
    compiled: bool = False  # into one graph; not if the bundle is older than that


def bench_plan(
    models: Sequence[str],
    *,
    threads: int = 1,
    rounds: int = 200,
    planners: Sequence[str] = PLANNERS,
    scaling: bool = True,
    progress: Progress = lambda *_: None,
) -> dict[str, Any]:
    """All measurements. The first of `models` is the one that the baselines run and that is scaled."""
    torch.set_num_threads(threads)
    main = models[0]
    contestants = [ours(name, model, threads) for model in models for name in planners if name in PLANNERS[:2]]
    contestants += [baseline(name, main, threads) for name in planners if name in PLANNERS[2:]]
    rows = race(contestants, rounds, progress, "planners")
    more: dict[str, Any] = {}
    if scaling:
        fewer = max(2, rounds // SCALING_ROUNDS)
        more["scaling"] = race(scaled(main, threads), fewer, progress, "scaling")
        more["scaling_threads"] = race(threaded(main), fewer, progress, "threads")
    worlds = [load_named(model) for model in models]
    floors = {world.card.tier: measure_floor(plan_products(world.path, MppiConfig()), threads) for world in worlds}
    peak_gflops = max(measure_floor([LARGE], threads).gflops, *(floor.gflops for floor in floors.values()))
    return {
        "threads": threads,
        "rows": rows,
        "floor_gflops": round(floors[worlds[0].card.tier].gflops, 1),
        "floors": {tier: floor.to_json() for tier, floor in floors.items()},
        "peak_gflops": round(peak_gflops, 1),
        "estimates": [estimates(row, peak_gflops) for row in rows if row["tier"] == worlds[0].card.tier][:2],
        **more,
    }


def shipped_models() -> tuple[str, ...]:
    """Those of the tiers that are there, small first."""
    return tuple(name for name in ("small", "tiny", "medium") if (shipped("models") / name).is_dir())


def ours(name: str, model: str, threads: int, config: MppiConfig | None = None) -> Contestant:
    """Our planner as the bridge runs it, each plan starting from the one before."""
    config = config or (MppiConfig.fast() if name == "ours_sampling" else MppiConfig())
    world = load_named(model)
    planner = planner_on(world, config, Device(threads=threads))
    warm_start = None

    def plan(index: int) -> object:
        nonlocal warm_start
        made = planner.plan(OBSERVATION, GOAL, index, warm_start)
        warm_start = shift(np.array(made.actions, np.float32), 1)
        return made

    work = gflop(plan_products(world.path, config))
    return Contestant(name, world.card.tier, config, threads, work, plan, isinstance(planner, CompiledPlanner))


def planner_on(world: World, config: MppiConfig, device: Device) -> Planner:
    """The bundle's compiled planner; for another horizon than the bundle's one compiled here."""
    planner = make_planner(world, config, device=device)
    if isinstance(planner, CompiledPlanner) or config.horizon == HORIZON:
        return planner
    module = module_from_bundle(world.path)
    graph = planner_graph(module, ClearanceGraph(module, config.horizon), config.horizon)
    return CompiledPlanner(world, config, 0, session_of(graph.SerializeToString(), "the planner", device), device)


def baseline(name: str, model: str, threads: int) -> Contestant:
    """A planner of learn/baselines.py with the contract's budget."""
    config = MppiConfig()
    vector, goal = observation_vector(OBSERVATION), goal_vector(GOAL)
    world = load_named(model)
    if name == "pytorch_mppi_ours":
        run = library_mppi(StatelessModel(module_from_bundle(world.path)), config)
        work = gflop(plan_products(world.path, config, readout=False))
        return Contestant(name, world.card.tier, config, threads, work, lambda _: run(vector, goal))
    gru = GruModel()
    work = 2e-9 * gru.multiply_adds() * config.samples * config.horizon * config.iterations
    if name == "torch_gru":
        mppi = TorchMppi(gru, config)
        return Contestant(name, GRU, config, threads, work, lambda _: mppi.plan(vector, goal))
    run = library_mppi(gru, config)
    return Contestant(name, GRU, config, threads, work, lambda _: run(vector, goal))


def scaled(model: str, threads: int) -> list[Contestant]:
    """Ours over samples and over the horizon, the rest of the budget as the contract has it."""
    configs = [dataclasses.replace(MppiConfig(), samples=samples) for samples in SAMPLES]
    configs += [dataclasses.replace(MppiConfig(), horizon=horizon) for horizon in HORIZONS]
    return [ours("ours", model, threads, config) for config in configs]


def threaded(model: str) -> list[Contestant]:
    """Ours over threads, with few and with many samples."""
    counts = [count for count in THREADS if count <= (os.cpu_count() or 1)]
    configs = [dataclasses.replace(MppiConfig(), samples=samples) for samples in (SAMPLES[0], 1024)]
    return [ours("ours", model, count, config) for config in configs for count in counts]


def race(contestants: Sequence[Contestant], rounds: int, progress: Progress, what: str) -> list[dict[str, Any]]:
    """One plan of each in turn, `rounds` times after some to warm up -> a row each."""
    times_ms = np.empty((rounds, len(contestants)))
    for turn in range(-WARM_UP, rounds):
        for column, contestant in enumerate(contestants):
            began_s = time.perf_counter()
            contestant.plan(turn + WARM_UP)
            times_ms[max(turn, 0), column] = 1e3 * (time.perf_counter() - began_s)
        progress(max(turn + 1, 0), rounds, what)
    return [
        {
            "planner": contestant.planner,
            "tier": contestant.tier,
            "samples": contestant.config.samples,
            "horizon": contestant.config.horizon,
            "iterations": contestant.config.iterations,
            "threads": contestant.threads,
            "compiled": contestant.compiled,
            "median_ms": round(float(np.median(column)), 3),
            "p99_ms": round(float(np.percentile(column, 99)), 3),
            "best_ms": round(float(column.min()), 3),  # what a busy machine did when nothing was in the way
            "gflop": round(contestant.gflop, 4),
        }
        for contestant, column in zip(contestants, times_ms.T, strict=True)
    ]


def estimates(row: dict[str, Any], peak_gflops: float) -> dict[str, Any]:
    """What the plan of `row` may take elsewhere: its operations, done with the same share of that machine's peak.

    An estimate and no measurement: caches, memory and the cost of a call differ from machine to machine.
    """
    efficiency = row["gflop"] / row["median_ms"] * 1e3 / peak_gflops
    return {
        "of": row["planner"],
        "efficiency": round(efficiency, 3),
        "assumed_peak_gflops": {name: round(peak, 1) for name, peak in OTHER_MACHINES.items()},
        "ms": {name: round(1e3 * row["gflop"] / (peak * efficiency), 1) for name, peak in OTHER_MACHINES.items()},
    }
