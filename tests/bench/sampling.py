"""How to sample: success, contacts and wheel jerk of each way in closed loop, beside what a plan takes.

    python tests/bench/sampling.py --episodes 200                          a table, some 0.3 s an episode and row
    python tests/bench/sampling.py --json --plot sampling.png              for programs, and the curve
    python tests/bench/sampling.py --card models/small                     table and curve onto that bundle's page
    python tests/bench/sampling.py --only "96 x 1, limited" --seed 5       one row on other episodes

All rows drive the same held-out episodes with the gate, as `jepa-bridge eval` does. Times are taken afterwards, one
process, one thread, all rows in turn. Elites are tried in the readable planner, because they were not worth a place in
the compiled one; their times are therefore not comparable and left out.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "host"))

from jepa_bridge.learn.collect import twin_sim
from jepa_bridge.learn.drivers import ModelDriver
from jepa_bridge.learn.episodes import EpisodeResult, drive
from jepa_bridge.learn.evaluate import wilson
from jepa_bridge.learn.heldout import arena_seeds, check_held_out, draw_task, episode_rng
from jepa_bridge.learn.page import SAMPLING_PLOT, update_metrics
from jepa_bridge.plan import mppi
from jepa_bridge.plan.costs import make_cost
from jepa_bridge.plan.mppi import MppiConfig, shift, weigh
from jepa_bridge.plan.sampling import DRAWS, Samples, candidates, draw, reachable
from jepa_bridge.types import Plan
from jepa_bridge.world.bundle import World, load_named

FREE, LIMIT = 2.0, 0.4  # of a wheel's change in a step
OLD = MppiConfig(correlation=0.6, slew=FREE)  # what the bridge drove with before


@dataclass(frozen=True)
class Way:
    """A row: a budget and a way to spend it."""

    name: str
    config: MppiConfig
    warm: bool = True
    antithetic: bool = False
    power: float | None = None  # exponent of a power law in place of the autoregression
    elites: int = 0  # the best of an iteration compete in the next
    elites_later: int = 0  # and the best of a plan in the next plan

    @property
    def timed(self) -> bool:
        return not (self.elites or self.elites_later)


def budget(samples: int, iterations: int, correlation: float = 0.8, slew: float = LIMIT) -> MppiConfig:
    return MppiConfig(samples=samples, iterations=iterations, correlation=correlation, slew=slew)


WAYS = (
    Way("independent", replace(OLD, correlation=0.0)),
    Way("correlated 0.6", OLD),
    Way("correlated 0.8", replace(OLD, correlation=0.8)),
    Way("correlated 0.9", replace(OLD, correlation=0.9)),
    Way("power law 2", OLD, power=2.0),
    Way("no warm start", OLD, warm=False),
    Way("antithetic", OLD, antithetic=True),
    Way("4 elites", OLD, elites=4),
    Way("4 elites, 4 in the next plan", OLD, elites=4, elites_later=4),
    Way("64 x 2, not limited", budget(64, 2, slew=FREE)),
    Way("32 x 3, not limited", budget(32, 3, slew=FREE)),
    Way("independent, limited", replace(OLD, correlation=0.0, slew=LIMIT)),
    Way("64 x 5, limited", replace(OLD, slew=LIMIT)),  # MppiConfig()
    Way("64 x 3, limited", budget(64, 3)),
    Way("64 x 2, limited", budget(64, 2)),
    Way("64 x 2, limited to 0.2", budget(64, 2, slew=0.2)),
    Way("64 x 2, limited to 0.3", budget(64, 2, slew=0.3)),
    Way("64 x 2, limited to 0.6", budget(64, 2, slew=0.6)),
    Way("64 x 1, limited", budget(64, 1)),
    Way("96 x 1, limited", budget(96, 1)),  # MppiConfig.fast()
    Way("128 x 1, limited", budget(128, 1)),
    Way("32 x 3, limited", budget(32, 3)),
    Way("32 x 2, limited", budget(32, 2)),
    Way("32 x 1, limited", budget(32, 1)),
    Way("16 x 2, limited", budget(16, 2)),
)


def samples_of(way: Way, seed: int, index: int) -> Samples:
    """`draw`, with what it does not do because it was not worth it."""
    drawn = draw(way.config, seed, index)
    if way.power is None and not way.antithetic:
        return drawn
    offsets = drawn.offsets.copy()
    if way.power is not None:
        noise = power_law(np.random.default_rng([seed, index]), offsets.shape[:3], way.power)
        decay = way.config.std * way.config.std_decay ** np.arange(len(offsets))
        moving = (drawn.keep == 1.0) & (np.arange(offsets.shape[1]) > 0)
        offsets[moving] = (decay[:, None, None, None] * noise).astype(np.float32)[moving]
    if way.antithetic:  # each second one mirrors the one before; the proposals, which come first, stay
        for iteration, keep in enumerate(drawn.keep):
            moving = np.flatnonzero((keep == 1.0) & (np.arange(len(keep)) > 0))
            pairs = moving[: len(moving) // 2 * 2].reshape(-1, 2)
            offsets[iteration, pairs[:, 1]] = -offsets[iteration, pairs[:, 0]]
    return Samples(offsets, drawn.keep)


def power_law(rng: np.random.Generator, shape: tuple[int, ...], exponent: float) -> np.ndarray:
    """[I, S, H, 2] of unit variance, power falling as frequency ** -exponent over twice the horizon."""
    iterations, samples, horizon = shape
    frequencies = np.fft.rfftfreq(2 * horizon)[1:]
    size = (iterations, samples, 2, len(frequencies))
    spectrum = np.zeros((*size[:3], len(frequencies) + 1), np.complex128)
    spectrum[..., 1:] = frequencies ** (-exponent / 2) * (rng.standard_normal(size) + 1j * rng.standard_normal(size))
    noise = np.fft.irfft(spectrum, 2 * horizon)[..., :horizon]
    return np.swapaxes(noise / noise.std(), 2, 3)


class ElitesPlanner(mppi.Planner):
    """The readable planner that lets the best samples compete again."""

    def __init__(self, world: World, way: Way, seed: int) -> None:
        super().__init__(world, way.config, seed)
        self.way = way
        self.later: np.ndarray | None = None  # [E, H, 2] of the plan before

    def plan(self, observation, goal, index, warm_start, iterations=None):
        config, way = self.config, self.way
        start, cost = self.world.start(observation), make_cost(config.cost, self.world, goal)
        sequence, reach = mppi.nominal(config, warm_start), reachable(config, observation)
        samples = draw(config, self.seed, index).first(iterations)
        kept = self.later if index > 0 else None
        for iteration in range(len(samples.keep)):
            actions = candidates(samples, iteration, sequence, reach)
            if kept is not None:
                actions[-len(kept) :] = np.clip(kept, *reach)
            costs = cost(self.rollout(start, actions))
            sequence = np.einsum("s,sha->ha", weigh(costs, config.temperature), actions)
            best = actions[np.argsort(costs)]
            kept = best[: way.elites].copy()
        self.later = np.stack([shift(one, 1) for one in best[: way.elites_later]]) if way.elites_later else None
        final = self.rollout(start, sequence[None])
        driven = tuple((float(left), float(right)) for left, right in sequence)
        sure = float(final.confidence.min())
        return Plan(index, observation.seq, observation.t_us, driven, float(cost(final)[0]), sure, config.step_s)


class WayDriver(ModelDriver):
    """The bridge's driver with another way to sample."""

    def __init__(self, world: World, way: Way, seed: int) -> None:
        super().__init__(world, way.config, seed, gate=True)
        self._way = way
        if not way.timed:
            self._planner = ElitesPlanner(world, way, seed)
        else:
            self._planner._draws = [samples_of(way, seed, index) for index in range(DRAWS)]

    def __call__(self, observation, goal, index):
        if not self._way.warm:
            self._actions = None
        return super().__call__(observation, goal, index)


_worlds: dict[str, World] = {}  # a worker process loads a bundle once


def episode(job: tuple[str, str, tuple[Way, ...], int, int, int]) -> list[EpisodeResult]:
    model, arena, ways, seed, number, map_seed = job
    if model not in _worlds:
        _worlds[model] = load_named(model)
    sim = twin_sim(arena, map_seed, None)
    rng = episode_rng(arena, seed, number)
    rng.integers(1)  # the arena's seed was drawn here
    task = draw_task(sim.arena, rng, across=False)
    driver_seed = int(rng.integers(2**31))
    return [drive(sim, task, way.name, WayDriver(_worlds[model], way, driver_seed), number) for way in ways]


def closed_loop(model: str, arena: str, ways: tuple[Way, ...], episodes: int, seed: int, workers: int) -> list[dict]:
    seeds = arena_seeds(arena, seed, episodes, None)
    check_held_out(load_named(model).card, arena, seeds)
    jobs = [(model, arena, ways, seed, number, map_seed) for number, map_seed in enumerate(seeds)]
    found: dict[str, list[EpisodeResult]] = {way.name: [] for way in ways}
    with multiprocessing.get_context("spawn").Pool(min(workers, episodes)) as pool:
        for done, results in enumerate(pool.imap_unordered(episode, jobs), 1):
            for result in results:
                found[result.planner].append(result)
            if done % 10 == 0:
                print(f"{done} of {episodes} episodes", file=sys.stderr)
    return [row(way, found[way.name]) for way in ways]


def row(way: Way, results: list[EpisodeResult]) -> dict:
    reached = [result for result in results if result.reached]
    low, high = wilson(len(reached), len(results))
    return {
        "way": way.name,
        "samples": way.config.samples,
        "iterations": way.config.iterations,
        "episodes": len(results),
        "reached": round(len(reached) / len(results), 4),
        "reached_low": round(low, 4),
        "reached_high": round(high, 4),
        "contacts_per_episode": round(float(np.mean([result.contacts for result in results])), 4),
        "jerk": round(float(np.mean([result.jerk for result in results])), 4),
        "steps": round(float(np.mean([result.steps for result in reached])), 1) if reached else None,
        "missed": sorted(result.number for result in results if not result.reached),
    }


def times_ms(model: str, ways: tuple[Way, ...], rounds: int = 100) -> dict[str, float]:
    """Median of a plan, all in turn in this process."""
    from jepa_bridge.learn.bench import ours, race

    budgets = {way.name: way.config for way in ways if way.timed}
    contestants = [ours("ours", model, 1, config) for config in budgets.values()]
    timed = race(contestants, rounds, lambda *_: None, "times")
    return {name: found["median_ms"] for name, found in zip(budgets, timed, strict=True)}


def draw_curve(rows: list[dict], path: Path) -> None:
    """Success and wheel jerk over milliseconds a plan; a way that is drawn in blue limits the wheels' change."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import ScalarFormatter

    timed = [one for one in rows if one.get("plan_ms") is not None]
    figure = Figure(figsize=(12, 5.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for one in timed:
        limited = "limited" in one["way"] and "not" not in one["way"]
        colour = "#0072B2" if limited else "#777777"
        reached = 100.0 * one["reached"]
        spread = [[reached - 100 * one["reached_low"]], [100 * one["reached_high"] - reached]]
        left.errorbar(one["plan_ms"], reached, spread, fmt="o", color=colour, linewidth=0.6, markersize=4)
        right.plot(one["plan_ms"], one["jerk"], "o", color=colour, markersize=4)
        name = one["way"].removesuffix(", limited") if one["way"][0].isdigit() else one["way"]
        right.annotate(name, (one["plan_ms"], one["jerk"]), fontsize=7, xytext=(5, -2), textcoords="offset points")
    left.set(ylabel="goals reached, %, with 95 % interval")
    right.set(yscale="log", ylabel="wheel jerk")
    longest = max(one["plan_ms"] for one in timed)
    for axes in (left, right):
        axes.set(xscale="log", xlabel="ms a plan")
        axes.set_xlim(right=1.6 * longest)  # room for names
        for ticks in (axes.xaxis, right.yaxis):
            ticks.set_major_formatter(ScalarFormatter())
            ticks.set_minor_formatter(ScalarFormatter())
        axes.grid(alpha=0.25, which="both")
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="small")
    parser.add_argument("--arena", default="cluttered")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", action="append", help="a row's name; repeat")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--card", type=Path, help="bundle whose card and page get table and curve")
    options = parser.parse_args()
    ways = tuple(way for way in WAYS if not options.only or way.name in options.only)
    rows = closed_loop(options.model, options.arena, ways, options.episodes, options.seed, options.workers)
    times = times_ms(options.model, ways)
    rows = [{**one, "plan_ms": times.get(one["way"])} for one in rows]
    terms = {"arena": options.arena, "episodes": options.episodes, "seed": options.seed}
    if options.card:
        draw_curve(rows, options.card / SAMPLING_PLOT)
        update_metrics(options.card, {"sampling": {**terms, "rows": rows}})
    if options.plot:
        draw_curve(rows, options.plot)
    if options.json:
        print(json.dumps({"model": options.model, **terms, "rows": rows}))
        return
    print(f"{options.model} in {options.arena}, {options.episodes} held-out episodes, seed {options.seed}")
    print(f"{'way':30}{'S x I':>8}{'reached %':>11}{'95 %':>13}{'contacts':>10}{'jerk':>8}{'steps':>7}{'ms':>7}")
    for one in rows:
        interval = f"{100 * one['reached_low']:.1f}-{100 * one['reached_high']:.1f}"
        spent = f"{one['samples']} x {one['iterations']}"
        print(
            f"{one['way']:30}{spent:>8}{100 * one['reached']:>11.1f}{interval:>13}{one['contacts_per_episode']:>10.3f}"
            f"{one['jerk']:>8.3f}{one['steps'] or 0:>7.1f}{one['plan_ms'] or 0:>7.2f}"
        )


if __name__ == "__main__":
    main()
