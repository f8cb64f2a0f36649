"""Makes real plans and prints, as one line of JSON, how long they take here: `python -m ... MODEL`."""

from __future__ import annotations

import json
import sys
import time

from jepa_bridge.drive.pace import DEADLINE_US
from jepa_bridge.errors import BridgeError
from jepa_bridge.plan.compiled import make_planner
from jepa_bridge.plan.device import GOAL, OBSERVATION, fastest_device
from jepa_bridge.plan.mppi import MppiConfig
from jepa_bridge.world.bundle import load_named

WARM_UP, PLANS = 5, 100


def measure(model: str) -> dict[str, object]:
    """Whole plans and plans of one iteration, on the device that a drive would choose."""
    world, config = load_named(model), MppiConfig()
    device = fastest_device(world, config)
    planner = make_planner(world, config, device=device)

    def p99_ms(iterations: int | None) -> float:
        taken = []
        for index in range(WARM_UP + PLANS):
            began_s = time.perf_counter()
            planner.plan(OBSERVATION, GOAL, index, None, iterations)
            taken.append(time.perf_counter() - began_s)
        return round(sorted(taken[WARM_UP:])[PLANS * 99 // 100] * 1000, 2)

    return {
        "p99_ms": p99_ms(None), "one_iteration_p99_ms": p99_ms(1), "device": str(device), "plans": PLANS,
        "deadline_ms": DEADLINE_US / 1000,
    }  # fmt: skip


def main() -> int:
    """One line on stdout; what went wrong on stderr."""
    try:
        print(json.dumps(measure(sys.argv[1])))  # noqa: T201
    except BridgeError as error:
        print(f"[{error.code}] {error.message}", file=sys.stderr)  # noqa: T201
        return int(error.status)
    return 0


if __name__ == "__main__":
    sys.exit(main())
