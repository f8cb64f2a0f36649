"""How fast the twin simulates, on one core, without firmware and wire.

    python tests/bench/twin.py            a table
    python tests/bench/twin.py --json     the same for programs

steps/s: physics alone. transitions/s: 0.2 s each with ranges, odometry and contact, as training data are collected.
real time: simulated seconds a second of the latter.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "host"))

from jepa_bridge.twin.arena import ARENAS, make_arena
from jepa_bridge.twin.episode import STEP_S, EpisodeSim
from jepa_bridge.twin.physics import TIMESTEP_S, Physics


def measure(name: str, seconds: float) -> dict[str, float | str]:
    """One arena, about twice `seconds` of processor time."""
    rng = np.random.default_rng(0)
    physics = Physics(make_arena(name, 1))
    steps = 0
    begin = time.process_time()
    while time.process_time() - begin < seconds:
        physics.set_wheels(*rng.uniform(-1.0, 1.0, 2))
        physics.advance(STEP_S)
        steps += round(STEP_S / TIMESTEP_S)
    steps_a_second = steps / (time.process_time() - begin)

    sim = EpisodeSim(name, 1)
    transitions = 0
    begin = time.process_time()
    while time.process_time() - begin < seconds:
        if transitions % 50 == 0:
            sim.reset(sim.arena.sample_free_pose(rng))
        sim.step(*rng.uniform(-0.3, 1.0, 2))
        transitions += 1
    transitions_a_second = transitions / (time.process_time() - begin)
    return {
        "arena": name,
        "steps_per_s": round(steps_a_second),
        "transitions_per_s_per_core": round(transitions_a_second),
        "real_time_factor": round(transitions_a_second * STEP_S),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=1.5, help="processor time for one measurement")
    options = parser.parse_args()
    results = [measure(name, options.seconds) for name in ARENAS]
    if options.json:
        print(json.dumps({"machine": platform.machine(), "timestep_s": TIMESTEP_S, "arenas": results}))
        return
    print(f"{'arena':12}{'steps/s':>12}{'transitions/s/core':>22}{'x real time':>14}")
    for result in results:
        print("{arena:12}{steps_per_s:12}{transitions_per_s_per_core:22}{real_time_factor:14}".format(**result))


if __name__ == "__main__":
    main()
