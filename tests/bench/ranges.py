"""How well can ranges two seconds ahead be told from one observation at all? A network that need not predict motion.

    python tests/bench/ranges.py DATA HELD_OUT --cache /tmp/ranges
    python tests/bench/ranges.py DATA HELD_OUT --cache /tmp/ranges --json

It is given the eight ranges now and the true motion until then, and says the eight ranges then, where nothing hidden
comes into view (learn/geometry.py). Whatever it gets wrong is not the fault of a predictor: eight points do not tell
how a wall runs on between them, or how wide a cylinder is. A model's own figure, `ranges_seen_m` of its card, has the
error of its predicted motion on top. Some 6 minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "host"))

from jepa_bridge.learn.dataset import Windows
from jepa_bridge.learn.geometry import hidden
from jepa_bridge.learn.model import NEAR
from jepa_bridge.learn.report import held_out
from jepa_bridge.twin.arena import make_arena
from jepa_bridge.world.vector import RANGE_SCALE_M, RANGES, unpack

HORIZON = 10
BATCH = 1024


def table(folder: Path, drives: int, cache: Path) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs [N, 28], ranges to tell [N, 8] m, whether they count [N, 8]; casting the rays takes minutes, so cached."""
    path = cache / f"{folder.name}-{drives}.npz"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        found = held_out(sorted(folder.glob("*.npz")), set())[:drives]
        windows = Windows(found, HORIZON)
        inputs, wanted, counts = [], [], []
        for number, drive in enumerate(found):
            rows = windows.starts[windows.of_drive == number] + np.array(((0,), (HORIZON,)))  # [2, n]
            ranges_m, poses = unpack(windows.vectors[rows])
            new = hidden(make_arena(*drive.place), poses[0], poses[1:])[0]
            inputs.append(np.concatenate((ranges_m[0], motion(*poses)), axis=1))
            wanted.append(ranges_m[1])
            counts.append(~new & np.isfinite(ranges_m[1]))
        np.savez(path, *(np.concatenate(parts) for parts in (inputs, wanted, counts)))
    seen, wanted_m, counting = np.load(path).values()
    known = np.isfinite(seen[:, :RANGES])
    share = np.where(known, seen[:, :RANGES] / RANGE_SCALE_M, 0.5)
    inputs = np.concatenate((share, np.exp(-NEAR * share), known, seen[:, RANGES:]), axis=1)
    floats = (torch.from_numpy(values.astype(np.float32)) for values in (inputs, np.nan_to_num(wanted_m)))
    return *floats, torch.from_numpy(counting)


def motion(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Poses [n, 3] -> [n, 4]: forward and left in metres, cosine and sine of the turn."""
    way = after - before
    cosine, sine = np.cos(before[:, 2]), np.sin(before[:, 2])
    forward, left = cosine * way[:, 0] + sine * way[:, 1], cosine * way[:, 1] - sine * way[:, 0]
    return np.stack((forward, left, np.cos(way[:, 2]), np.sin(way[:, 2])), axis=1)


def fit(data: tuple[Tensor, Tensor, Tensor], width: int, steps: int) -> nn.Module:
    """Trained on the mean absolute error, which is what it is judged by."""
    torch.manual_seed(0)
    inputs, wanted, counts = data
    layers = [nn.Linear(inputs.shape[1], width), nn.SiLU()]
    layers += [part for _ in range(2) for part in (nn.Linear(width, width), nn.SiLU())]
    network = nn.Sequential(*layers, nn.Linear(width, RANGES))
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps)
    for step in range(1, steps + 1):
        chosen = torch.randint(len(inputs), (BATCH,))
        loss = (network(inputs[chosen]) - wanted[chosen]).abs()[counts[chosen]].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 500 == 0:
            print(f"step {step} of {steps}, error {loss.item():.3f} m", file=sys.stderr, flush=True)
    return network


@torch.no_grad()
def errors_m(network: nn.Module, data: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    inputs, wanted, counts = data
    return (network(inputs).clamp(0.0, RANGE_SCALE_M) - wanted).abs()[counts]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("held_out", type=Path)
    parser.add_argument("--cache", type=Path, required=True, help="folder for what was cast")
    parser.add_argument("--width", type=int, default=512, help="of three hidden layers")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data, unseen = table(options.data, 5000, options.cache), table(options.held_out, 500, options.cache)
    error = errors_m(fit(data, options.width, options.steps), unseen)
    found = {
        "windows": len(unseen[0]),
        "ranges_seen_m": round(float(error.mean()), 4),
        "ranges_seen_median_m": round(float(error.median()), 4),
        "width": options.width,
        "steps": options.steps,
    }
    if options.json:
        print(json.dumps(found))
        return
    print(
        f"given the true motion: ranges after 2 s are off by {100 * found['ranges_seen_m']:.1f} cm on average, "
        f"median {100 * found['ranges_seen_median_m']:.1f} cm, over {found['windows']} windows"
    )


if __name__ == "__main__":
    main()
