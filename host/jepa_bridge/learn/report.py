"""What a trained model is worth on drives it never saw: figures into the bundle's card, plots beside it.

    python -m jepa_bridge.learn.report runs/small data more-data --bundle models/small

Of shards that the run was trained on, the drives that training held out count; of all others every drive does. Half
of these drives set the 90 % bands, the other half judges everything.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.learn.dataset import Drive, Windows, read_shard, split
from jepa_bridge.learn.export import TOLERANCE, rollout_gap
from jepa_bridge.learn.geometry import hidden
from jepa_bridge.learn.page import update_metrics
from jepa_bridge.learn.train import CHECKPOINT, load_module
from jepa_bridge.learn.validate import (
    BOUNDS,
    Forecast,
    auroc,
    band,
    errors,
    expected_calibration_error,
    forecast,
    plan_confidence,
    reliability,
    rounded,
)
from jepa_bridge.learn.waytogo import WayToGo, summary, way_to_go
from jepa_bridge.twin.arena import ARENAS, make_arena
from jepa_bridge.world.bundle import World
from jepa_bridge.world.vector import FloatArray, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from jepa_bridge.learn.model import WorldModule

LEVEL = 0.9  # of the bands
DEFINITIONS = {
    "drawn": "robots as drawn; randomised: wheel gains, lag, grip and sensors off, which no single observation shows",
    "ranges_seen_m": "ranges where nothing hidden comes into view, by the arena's drawing: the ray ends on an obstacle "
    "that a ray of the starting observation ended on, at a place within reach of the start with nothing before it; or "
    "on nothing within reach, as a ray of the start did",
    "good": "up to and with this step errors stay within the bounds and the robot touches nothing (one that starts in "
    "touch has a step to leave): what confidence predicts",
    "bands": "radius of the errors per step, the conformal 90 % quantile over the calibration drives; coverage is the "
    "share of the test drives' errors within it",
    "way_to_go": "Spearman of embedding distance, observation to pose-only goal, with the way around the obstacles, in "
    "arenas never trained in",
}


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything the plots are drawn from."""

    metrics: dict[str, Any]  # what goes into the card
    history: list[dict[str, float]]  # losses while training
    reliability: list[tuple[float, float, float]]  # said, came true, share of all
    ways: dict[str, WayToGo]  # by arena


def report(checkpoint: Path, shards: Sequence[Path], bundle: Path | None = None) -> Findings:
    """Judge a checkpoint; with a bundle made from it, write figures and plots there."""
    module, state = load_module(checkpoint)
    about = json.loads(state["about"])
    if bundle is not None:
        world = World.load(bundle)
        if world.embedding_dim != module.embedding_dim or rollout_gap(module, world) > TOLERANCE:
            raise BridgeError(
                "report-other",
                f"expected {bundle} to be exported from {checkpoint}, but the two predict different futures",
                "export that run first, or name its own bundle",
                status=Exit.USAGE,
            )
    drives = held_out(shards, set(about.get("data", {}).get("names", ())))
    findings = judge(module, drives, state["config"]["horizon"], about.get("history", []))
    if bundle is not None:
        from jepa_bridge.learn.plots import draw  # noqa: PLC0415  # matplotlib: only who draws needs it

        draw(findings, bundle)
        update_metrics(bundle, findings.metrics)
    return findings


def held_out(shards: Sequence[Path], trained: set[str]) -> list[Drive]:
    """The drives of these shards that a run trained on `trained`, names of shards, has not seen."""
    _, drives, _ = split([path for path in shards if path.name in trained])
    for path in sorted(shards):
        if path.name not in trained:
            drives += read_shard(path)[0]
    if len(drives) < 2:
        raise BridgeError(
            "no-data",
            f"expected at least 2 drives that were not trained on, got {len(drives)}",
            "name the run's training data, or collect more with another seed",
            status=Exit.USAGE,
        )
    return drives


@torch.no_grad()
def judge(
    module: WorldModule, drives: Sequence[Drive], horizon: int, history: list[dict[str, float]] | None = None
) -> Findings:
    """All figures on drives that the module has not seen."""
    # every other drive: both halves hold all arenas and all kinds of robots
    calibration, test = Windows(drives[0::2], horizon), Windows(drives[1::2], horizon)
    first, seen = (forecast(module, part, np.arange(len(part))) for part in (calibration, test))
    drawn = np.array([drive.drawn for drive in drives[1::2]])[test.of_drive]  # [N]
    unseen = _hidden(test, drives[1::2])  # [H, N, 8]
    sensors_m = np.where(unseen, np.nan, seen.sensors_m)
    kinds = {"all": np.ones_like(drawn), "drawn": drawn, "randomised": ~drawn}
    prediction = {
        kind: {
            "windows": int(members.sum()),
            **errors(_of(seen, members)),
            "ranges_seen_m": rounded(np.nanmean(sensors_m[:, members], axis=(1, 2)), 4),
            "ranges_seen_median_m": rounded(np.nanmedian(sensors_m[:, members], axis=(1, 2)), 4),
        }
        for kind, members in kinds.items()
        if members.any()
    }
    sure, good = seen.confidence.ravel(), seen.good.ravel()
    ways = {arena: way_to_go(lambda vectors: _encode(module, vectors), arena) for arena in ARENAS}
    metrics = {
        "held_out": {"drives": len(drives), "calibration_drives": len(drives[0::2]), "test_drives": len(drives[1::2])},
        "prediction": {
            **prediction["all"],
            "by_robot": {kind: figures for kind, figures in prediction.items() if kind != "all"},
            "hidden_share": round(float(unseen.mean()), 4),
        },
        "confidence": {
            "bounds": BOUNDS,
            "good": rounded(seen.good.mean(axis=1), 4),
            "said": rounded(seen.confidence.mean(axis=1), 4),
            "ece": round(expected_calibration_error(sure, good), 4),
            "auroc_steps": round(auroc(sure, good), 4),
            "plan": plan_confidence(seen),
        },
        "bands": _bands(first, seen),
        "way_to_go": {arena: summary(found) for arena, found in ways.items()},
        "definitions": DEFINITIONS,
    }
    return Findings(metrics, history or [], reliability(sure, good), ways)


def _encode(module: WorldModule, vectors: FloatArray) -> FloatArray:
    embedding: FloatArray = module.encoder(torch.from_numpy(vectors)).numpy()
    return embedding


def _of(seen: Forecast, members: npt.NDArray[np.bool_]) -> Forecast:
    """The same for some of the windows."""
    return Forecast(*(getattr(seen, name)[:, members] for name in Forecast.__dataclass_fields__))


def _bands(calibration: Forecast, test: Forecast) -> dict[str, Any]:
    """Radius and coverage for each step and each kind of error."""
    found: dict[str, Any] = {"level": LEVEL}
    for name, digits in (("position_m", 4), ("heading_deg", 2), ("ranges_m", 4)):
        before, now = (np.nan_to_num(getattr(part, name)) for part in (calibration, test))  # [H, N]
        radius = band(before, LEVEL)
        found[name] = rounded(radius, digits)
        found[f"{name.rsplit('_', 1)[0]}_coverage"] = rounded((now <= radius[:, None]).mean(axis=1), 4)
    return found


def _hidden(windows: Windows, drives: Sequence[Drive]) -> npt.NDArray[np.bool_]:
    """[H, N, 8]: readings of what was hidden at the start; all False where no drawing of the place is known."""
    found = np.zeros((windows.horizon, len(windows), 8), np.bool_)
    for number, drive in enumerate(drives):
        if drive.place is None or drive.place[0] not in ARENAS:
            continue
        members = np.flatnonzero(windows.of_drive == number)
        rows = windows.starts[members] + np.arange(windows.horizon + 1)[:, None]  # [H + 1, n]
        _, poses = unpack(windows.vectors[rows])  # [H + 1, n, 3]
        found[:, members] = hidden(make_arena(*drive.place), poses[0], poses[1:])
    return found


def main() -> None:
    """Print the figures as JSON; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a training run")
    parser.add_argument("data", type=Path, nargs="+", help="folders of shards")
    parser.add_argument("--bundle", type=Path, help="the run's bundle: figures go into its card, plots beside it")
    options = parser.parse_args()
    torch.set_num_threads(1)
    shards = [path for folder in options.data for path in sorted(folder.glob("*.npz"))]
    findings = report(options.run / CHECKPOINT, shards, options.bundle)
    sys.stdout.write(json.dumps(findings.metrics, indent=2) + "\n")


if __name__ == "__main__":
    main()
