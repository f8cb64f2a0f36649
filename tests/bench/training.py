"""How many transitions a second training takes in, beside a plain loop that reads JSON item by item.

    python tests/bench/training.py            a table
    python tests/bench/training.py --json     the same for programs

A transition is one 0.2 s step of a window: observation, action, the observation that followed. Both rows train the
same model with the same loss on batches of the same size; only how the batch comes to be differs. `batches` is the
data pipeline alone. The drives are random numbers: what they say changes no speed. The best of several rounds counts,
because whatever else runs on the machine can only take away.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "host"))

from jepa_bridge.learn.dataset import Batch, Drive, Windows
from jepa_bridge.learn.train import TrainConfig, Trainer

BAR = 50_000  # transitions/s on two cores
DRIVES, STEPS = 200, 100


class JsonWindows:
    """The plain way: one JSON line a step, parsed and normalised when its turn comes."""

    def __init__(self, windows: Windows) -> None:
        self.horizon = windows.horizon
        self.starts = windows.starts
        self.lines = [
            json.dumps(
                {
                    "distances": [200.0 * value for value in vector[:8]],
                    "pose": {"x": 5.0 * vector[8], "y": 5.0 * vector[9], "rotation": 360.0 * vector[10]},
                    "action": {"left_wheel": action[0], "right_wheel": action[1]},
                    "contact": False,
                }
            )
            for vector, action in zip(windows.vectors.tolist(), windows.actions.tolist(), strict=True)
        ]

    def __len__(self) -> int:
        return len(self.starts)

    def batch(self, indices: np.ndarray, rng: np.random.Generator | None = None) -> Batch:
        items = [self.item(int(self.starts[index])) for index in indices]
        vectors = np.stack([item[0] for item in items])
        actions = np.stack([item[1] for item in items])
        touched = np.stack([item[2] for item in items])
        return Batch(vectors[:, 0].copy(), np.zeros((len(items), 3), np.float32), vectors, actions, touched)

    def item(self, first: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        vectors, actions, contact = [], [], []
        for line in self.lines[first : first + self.horizon + 1]:
            step = json.loads(line)
            pose = step["pose"]
            vector = [min(distance / 200.0, 1.0) for distance in step["distances"]]
            vector += [pose["x"] / 5.0, pose["y"] / 5.0, (pose["rotation"] / 360.0) % 1.0]
            vectors.append(np.array(vector, np.float32))
            actions.append(np.array([step["action"]["left_wheel"], step["action"]["right_wheel"]], np.float32))
            contact.append(step["contact"])
        return np.stack(vectors), np.stack(actions[:-1]), np.array(contact[1:])


def random_windows(horizon: int) -> Windows:
    rng = np.random.default_rng(0)
    return Windows(
        [
            Drive(
                rng.random((STEPS + 1, 11), np.float32),
                rng.uniform(-1.0, 1.0, (STEPS, 2)).astype(np.float32),
                rng.uniform(-1.0, 1.0, (STEPS + 1, 2)).astype(np.float32),
                rng.random(STEPS + 1) < 0.2,
            )
            for _ in range(DRIVES)
        ],
        horizon,
    )


def measure(windows: Windows | JsonWindows, config: TrainConfig, seconds: float) -> dict[str, float]:
    """Transitions a second of making batches, and of making and training on them."""
    transitions = config.batch * config.horizon
    rng = np.random.default_rng(0)
    trainer = Trainer(config)
    trainer.advance(windows)  # first calls allocate

    def batch() -> None:
        windows.batch(rng.integers(len(windows), size=config.batch), rng)

    def best(work: object) -> float:
        shortest, until = float("inf"), time.perf_counter() + seconds
        while time.perf_counter() < until:
            begin = time.perf_counter()
            work()  # type: ignore[operator]
            shortest = min(shortest, time.perf_counter() - begin)
        return round(transitions / shortest)

    return {"batches": best(batch), "training": best(lambda: trainer.advance(windows))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--tier", default="small")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="each is measured")
    parser.add_argument("--seconds", type=float, default=4.0, help="for one measurement")
    options = parser.parse_args()
    config = TrainConfig(tier=options.tier)
    windows = random_windows(config.horizon)
    plain = JsonWindows(windows)
    rows = []
    for threads in options.threads:
        torch.set_num_threads(threads)
        for name, source in (("shards, one gather a batch", windows), ("JSON, item by item", plain)):
            rows.append({"pipeline": name, "threads": threads, **measure(source, config, options.seconds)})
    if options.json:
        machine = {"machine": platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__}
        print(json.dumps({**machine, "tier": options.tier, "bar_transitions_per_s": BAR, "rows": rows}))
        return
    print(f"transitions/s, tier {options.tier}, bar {BAR} on two cores")
    print(f"{'pipeline':30}{'threads':>8}{'batches':>12}{'batches + training':>20}")
    for row in rows:
        print("{pipeline:30}{threads:8}{batches:12}{training:20}".format(**row))


if __name__ == "__main__":
    main()
