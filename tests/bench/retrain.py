"""Whether retraining closes the loop, on a robot that is not the one the model was trained for.

    python tests/bench/retrain.py --work /tmp/weak            a table, in about ten minutes on a core
    python tests/bench/retrain.py --work /tmp/weak --json     the same for programs

The robot's left wheel is 25 % weaker, its motors lag by half as much again, its ranges read 5 % long; other figures by
options. The base model drives it, `retrain` learns from those drives, and both drive the same held-out episodes with
that very robot.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "host"))

from jepa_bridge.learn.identify import Like
from jepa_bridge.learn.live import live
from jepa_bridge.learn.retrain import RetrainConfig, retrain
from jepa_bridge.twin.randomise import Randomisation
from jepa_bridge.world.bundle import load_named


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--base", default="small")
    parser.add_argument("--drives", type=int, default=100, help="of 20 s each")
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--left-gain", type=float, default=0.75)
    parser.add_argument("--lag-s", type=float, default=0.15)
    parser.add_argument("--range-scale", type=float, default=1.05)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    def show(done: int, total: int, message: str) -> None:
        print(f"{done}/{total} {message}", file=sys.stderr, flush=True)

    base = load_named(options.base)
    weak = Randomisation(left_gain=options.left_gain, motor_lag_s=options.lag_s, range_scale=options.range_scale)
    robots = Like(weak)
    own = live(base, "cluttered", options.drives, options.work / "lived", explore=0.5, make_sim=robots, progress=show)
    config = RetrainConfig(steps=options.steps, episodes=options.episodes)
    facts = retrain(own, base.path, options.work, config, make_sim=robots, progress=show).facts
    if options.json:
        print(json.dumps(facts))
        return
    print(f"identified: {facts['robot']}")
    for part in ("closed_loop", "prediction_held_out"):
        for name, before in facts[part]["base"].items():
            print(f"{name:>24} {before!s:>10} -> {facts[part]['candidate'][name]}")
    print("worse:", "; ".join(facts["worse"]) or "no")


if __name__ == "__main__":
    main()
