"""How well a model predicts drives it never saw, in metres and degrees, and what its confidence is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from jepa_bridge.learn.losses import POSITION_BOUND_M, RANGE_BOUND_M, REACH_M, still_good, within_bounds
from jepa_bridge.learn.model import split, with_motion
from jepa_bridge.world.vector import POSITION_SCALE_M, RANGE_SCALE_M, RANGES

if TYPE_CHECKING:
    import numpy.typing as npt

    from jepa_bridge.learn.dataset import Windows
    from jepa_bridge.learn.model import WorldModule

    Floats = npt.NDArray[np.floating[Any]]
    Bools = npt.NDArray[np.bool_]

BOUNDS = {"position_m": POSITION_BOUND_M, "ranges_m": RANGE_BOUND_M, "reach_m": REACH_M}
_CHUNK = 4096  # windows at once


@dataclass(frozen=True, slots=True)
class Forecast:
    """Rollouts of N windows beside what came: errors after each of H steps, NaN where the truth is unknown."""

    position_m: Floats  # [H, N]
    heading_deg: Floats  # [H, N]
    sensors_m: Floats  # [H, N, 8]
    within: Bools  # [H, N] this step is within the bounds
    touched: Bools  # [H, N]
    good: Bools  # [H, N] within bounds and untouched up to and with this step: what confidence predicts
    confidence: Floats  # [H, N]

    @property
    def ranges_m(self) -> Floats:
        """[H, N]: mean over the sensors that had a reading."""
        known = np.isfinite(self.sensors_m)
        mean: Floats = np.where(known, self.sensors_m, 0.0).sum(axis=2) / np.maximum(known.sum(axis=2), 1)
        return mean


@torch.no_grad()
def forecast(module: WorldModule, windows: Windows, indices: npt.NDArray[np.int64]) -> Forecast:
    """Roll out the windows of these indices; their starts are wholly known."""
    parts = [_forecast(module, windows, indices[at : at + _CHUNK]) for at in range(0, len(indices), _CHUNK)]
    return Forecast(*(np.concatenate(same, axis=1) for same in zip(*parts, strict=True)))


def _forecast(module: WorldModule, windows: Windows, indices: npt.NDArray[np.int64]) -> tuple[npt.NDArray[Any], ...]:
    batch = windows.batch(indices)
    vectors = torch.from_numpy(batch.vectors)
    start = with_motion(module.encoder(torch.from_numpy(batch.start)), torch.from_numpy(batch.motion))
    embeddings, confidence = module.rollout(start, torch.from_numpy(batch.actions))
    position, heading, _, _, code = split(embeddings)
    future = vectors[:, 1:].transpose(0, 1)  # [H, B, 11]
    off_m = (position - future[..., RANGES : RANGES + 2] * POSITION_SCALE_M).norm(dim=-1)  # [H, B]
    turned = torch.atan2(heading[..., 1], heading[..., 0]) - future[..., -1] * (2.0 * torch.pi)
    off_deg = torch.rad2deg(torch.atan2(torch.sin(turned), torch.cos(turned))).abs()
    wanted = future[..., :RANGES]
    read = module.readout.ranges(code)  # [H, B, 8]
    sensors_m = torch.where(wanted >= 0.0, (read.clamp(0.0, 1.0) - wanted).abs() * RANGE_SCALE_M, torch.nan)
    within = within_bounds(off_m, read, wanted)
    touched = torch.from_numpy(batch.touched).T
    values = (off_m, off_deg, sensors_m, within, touched, still_good(within, touched), confidence)
    return tuple(value.numpy() for value in values)


def validate(module: WorldModule, windows: Windows, count: int = 4000, seed: int = 0) -> dict[str, Any]:
    """Mean errors after each step of the horizon, over `count` windows whose start is wholly known.

    `good` is the share of what confidence predicts. ECE: expected calibration error over ten bins; AUROC: how often a
    good step gets more confidence than another; `auroc_step_only`: the same from the step's number alone, the floor.
    """
    rng = np.random.default_rng(seed)
    indices = rng.integers(len(windows), size=min(count, len(windows)))
    seen = forecast(module, windows, indices)
    sure, right = seen.confidence.ravel(), seen.good.ravel()
    codes = module.encoder.local(torch.from_numpy(windows.vectors[windows.starts[indices], :RANGES])).detach()
    return {
        "windows": len(indices),
        **errors(seen),
        "within_bounds": rounded(seen.within.mean(axis=1), 4),
        "good": rounded(seen.good.mean(axis=1), 4),
        "confidence": rounded(seen.confidence.mean(axis=1), 4),
        "confidence_ece": round(expected_calibration_error(sure, right), 4),
        "confidence_auroc": round(auroc(sure, right), 4),
        "confidence_auroc_step_only": round(auroc(_earliness(seen), right), 4),
        "code_deviation": round(float(codes.std(dim=0).mean()), 4),
        "code_rank": round(effective_rank(codes.numpy()), 1),
        "bounds": BOUNDS,
    }


def errors(seen: Forecast) -> dict[str, list[float]]:
    """Mean errors after each step."""
    return {
        "position_m": rounded(seen.position_m.mean(axis=1), 4),
        "heading_deg": rounded(np.nanmean(seen.heading_deg, axis=1), 2),
        "ranges_m": rounded(seen.ranges_m.mean(axis=1), 4),
    }


def plan_confidence(seen: Forecast) -> dict[str, Any]:
    """What the planner's confidence, the least over the horizon, knows of "contact or large error within the horizon".

    Once at the whole horizon, where a baseline that knows only the horizon must be at 0.5, and once over all horizons
    from one step up, where that baseline knows something.
    """
    trouble = ~seen.good  # [H, N] the event within the first h steps
    least = np.minimum.accumulate(seen.confidence, axis=0)
    return {
        "event": "contact or error beyond the bounds within the horizon",
        "event_share": round(float(trouble[-1].mean()), 4),
        "contact_share": round(float(seen.touched.any(axis=0).mean()), 4),
        "beyond_bounds_share": round(float((~seen.within).any(axis=0).mean()), 4),
        "auroc": round(auroc(least[-1], ~trouble[-1]), 4),
        "auroc_horizon_only": 0.5,
        "auroc_all_horizons": round(auroc(least.ravel(), ~trouble.ravel()), 4),
        "auroc_all_horizons_horizon_only": round(auroc(_earliness(seen), ~trouble.ravel()), 4),
        "ece": round(expected_calibration_error(least[-1], ~trouble[-1]), 4),
    }


def _earliness(seen: Forecast) -> npt.NDArray[np.float64]:
    """[H * N]: a confidence that knows nothing but how far ahead it guesses."""
    horizon, count = seen.confidence.shape
    return -np.repeat(np.arange(horizon, dtype=np.float64), count)


def band(calibration: Floats, level: float) -> Floats:
    """Errors [H, N] of drives of their own -> [H] radius that a new error stays within with chance `level`.

    Split conformal prediction (Vovk et al., 2005; Lei et al., 2018): the ceil((N + 1) * level)-th smallest error.
    """
    count = calibration.shape[1]
    rank = min(int(np.ceil((count + 1) * level)), count) - 1
    radius: Floats = np.sort(calibration, axis=1)[:, rank]
    return radius


def expected_calibration_error(said: npt.NDArray[Any], right: Bools, bins: int = 10) -> float:
    """Mean gap between what was said and what came true, over equal bins of what was said."""
    return sum(share * abs(mean - true) for mean, true, share in reliability(said, right, bins))


def reliability(said: npt.NDArray[Any], right: Bools, bins: int = 10) -> list[tuple[float, float, float]]:
    """For each bin that is not empty: what was said on average, the share that came true, the bin's share of all."""
    which = np.minimum((said * bins).astype(int), bins - 1)
    found = []
    for index in range(bins):
        members = which == index
        if members.any():
            found.append((float(said[members].mean()), float(right[members].mean()), float(members.mean())))
    return found


def auroc(score: npt.NDArray[Any], positive: Bools) -> float:
    """Chance that a random positive scores above a random negative, ties counting half; 0.5 if one-sided."""
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return 0.5
    return float((ranks(score)[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def spearman(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    """Rank correlation."""
    return float(np.corrcoef(ranks(one), ranks(other))[0, 1])


def ranks(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """[N] -> ranks from 1, ties sharing their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean: npt.NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]
    return mean


def effective_rank(codes: npt.NDArray[Any]) -> float:
    """How many dimensions codes [N, L] really use: exp of the entropy of the covariance's eigenvalues."""
    eigenvalues = np.clip(np.linalg.eigvalsh(np.cov(codes.T.astype(np.float64))), 0.0, None)
    shares = eigenvalues / max(float(eigenvalues.sum()), 1e-12)
    shares = shares[shares > 1e-12]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def rounded(values: npt.NDArray[Any], digits: int) -> list[float]:
    """[H] -> plain numbers for the card."""
    return [round(float(value), digits) for value in values]
