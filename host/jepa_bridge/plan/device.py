"""Which device plans: whichever makes real plans fastest, here and now.

    device = fastest_device(world, MppiConfig())

More threads are slower for small batches, and how small is different on every machine; a GPU that is listed need not
work. So nothing is looked up: each device plans a few times, and what fails or is not clearly faster than fewer threads
is left alone. Threads do not spin while they wait: the link, the recorder and the twin need the other cores.
"""

from __future__ import annotations

import os
import statistics
import time
from typing import TYPE_CHECKING

from jepa_bridge.plan.compiled import make_planner
from jepa_bridge.types import Goal, Observation
from jepa_bridge.world.device import CPU, FASTER_PROVIDERS, ONE_THREAD, Device

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jepa_bridge.plan.compiled import Planner
    from jepa_bridge.plan.mppi import MppiConfig
    from jepa_bridge.world.bundle import WorldModel

THREADS = (1, 2, 4)
WARM_UP, PLANS = 2, 9  # the first ones allocate, and compile where there is a GPU
CLEARLY = 0.85  # of the time: less is chance, or not worth another core
OBSERVATION = Observation(0, 0, (1.2, 0.8, 1.5, 2.0, 0.6, None, 2.0, 1.1), 1.0, 1.5, 0.4, 0.2, 0.25)
GOAL = Goal(4.0, 4.0)


def devices(providers: Iterable[str], cores: int) -> list[Device]:
    """All worth trying, the simplest first."""
    there = set(providers)
    return [
        *(Device(CPU, threads) for threads in THREADS if threads <= max(1, cores)),
        *(Device(provider) for provider in FASTER_PROVIDERS if provider in there),
    ]


def fastest_device(
    world: WorldModel,
    config: MppiConfig,
    *,
    among: Iterable[Device] | None = None,
    make: Callable[[WorldModel, MppiConfig, Device], Planner] | None = None,
    now_s: Callable[[], float] = time.perf_counter,
) -> Device:
    """The one to plan on. `make` makes a planner on a device."""
    if among is None:
        import onnxruntime  # noqa: PLC0415  # 0.2 s that `jepa-bridge --help` need not pay

        among = devices(onnxruntime.get_available_providers(), os.cpu_count() or 1)
    make = make or (lambda world, config, device: make_planner(world, config, device=device))
    best, best_s = ONE_THREAD, float("inf")
    for device in among:
        try:
            taken_s = _plan_s(make(world, config, device), now_s)
        except Exception:  # noqa: S112 - a provider without its driver or its card fails in ways of its own
            continue
        if taken_s < CLEARLY * best_s:
            best, best_s = device, taken_s
    return best


def _plan_s(planner: Planner, now_s: Callable[[], float]) -> float:
    """Median of a few plans."""
    taken = []
    for index in range(WARM_UP + PLANS):
        began_s = now_s()
        planner.plan(OBSERVATION, GOAL, index, None)
        taken.append(now_s() - began_s)
    return statistics.median(taken[WARM_UP:])
