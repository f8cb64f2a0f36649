"""How well a model predicts drives it never saw, in metres and degrees, and what its confidence is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from jepa_bridge.learn.losses import POSITION_BOUND_M, RANGE_BOUND_M, REACH_M, within_bounds
from jepa_bridge.learn.model import split, with_motion
from jepa_bridge.world.vector import POSITION_SCALE_M, RANGE_SCALE_M, RANGES

if TYPE_CHECKING:
    import numpy.typing as npt

    from jepa_bridge.learn.dataset import Windows
    from jepa_bridge.learn.model import WorldModule


@torch.no_grad()
def validate(module: WorldModule, windows: Windows, count: int = 4000, seed: int = 0) -> dict[str, Any]:
    """Mean errors after each step of the horizon, over `count` windows whose start is wholly known.

    ECE: expected calibration error of the confidence over ten bins; AUROC: how often a step within the bounds gets more
    confidence than one beyond them; `auroc_step_only`: the same from the step's number alone, the floor to beat.
    """
    rng = np.random.default_rng(seed)
    batch = windows.batch(rng.integers(len(windows), size=min(count, len(windows))))
    vectors = torch.from_numpy(batch.vectors)
    start = with_motion(module.encoder(torch.from_numpy(batch.start)), torch.from_numpy(batch.motion))
    embeddings, confidence = module.rollout(start, torch.from_numpy(batch.actions))
    position, heading, _, code = split(embeddings)
    future = vectors[:, 1:].transpose(0, 1)  # [H, B, 11]
    off_m = (position - future[..., RANGES : RANGES + 2] * POSITION_SCALE_M).norm(dim=-1)  # [H, B]
    angle = future[..., -1] * (2.0 * torch.pi)
    turned = torch.atan2(heading[..., 1], heading[..., 0]) - angle
    off_deg = torch.rad2deg(torch.atan2(torch.sin(turned), torch.cos(turned))).abs()
    known = future[..., :RANGES] >= 0.0
    read = module.readout.ranges(code).clamp(0.0, 1.0)
    error_m = (read - future[..., :RANGES]).abs() * RANGE_SCALE_M * known
    off_range_m = error_m.sum(dim=-1) / known.sum(dim=-1).clamp(min=1)
    within = within_bounds(off_m, read, future[..., :RANGES])  # [H, B]

    sure, right = confidence.flatten().numpy(), within.flatten().numpy()
    steps = -np.repeat(np.arange(confidence.shape[0]), confidence.shape[1]).astype(np.float64)
    codes = module.encoder.local(vectors[:, 0, :RANGES])
    return {
        "windows": len(batch.start),
        "position_m": _rounded(off_m.mean(dim=1), 4),
        "heading_deg": _rounded(off_deg.mean(dim=1), 2),
        "ranges_m": _rounded(off_range_m.mean(dim=1), 4),
        "within_bounds": _rounded(within.float().mean(dim=1), 4),
        "confidence": _rounded(confidence.mean(dim=1), 4),
        "confidence_ece": round(expected_calibration_error(sure, right), 4),
        "confidence_auroc": round(auroc(sure, right), 4),
        "confidence_auroc_step_only": round(auroc(steps, right), 4),
        "code_deviation": round(float(codes.std(dim=0).mean()), 4),
        "code_rank": round(effective_rank(codes.numpy()), 1),
        "bounds": {"position_m": POSITION_BOUND_M, "ranges_m": RANGE_BOUND_M, "reach_m": REACH_M},
    }


def expected_calibration_error(said: npt.NDArray[Any], right: npt.NDArray[np.bool_], bins: int = 10) -> float:
    """Mean gap between what was said and what came true, over equal bins of what was said."""
    which = np.minimum((said * bins).astype(int), bins - 1)
    gaps = 0.0
    for index in range(bins):
        members = which == index
        if members.any():
            gaps += float(members.mean()) * abs(float(said[members].mean()) - float(right[members].mean()))
    return gaps


def auroc(score: npt.NDArray[Any], positive: npt.NDArray[np.bool_]) -> float:
    """Chance that a random positive scores above a random negative, ties counting half; NaN-free: 0.5 if one-sided."""
    order, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    del order
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]  # mean rank of each tie
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return 0.5
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def effective_rank(codes: npt.NDArray[Any]) -> float:
    """How many dimensions codes [N, L] really use: exp of the entropy of the covariance's eigenvalues."""
    eigenvalues = np.clip(np.linalg.eigvalsh(np.cov(codes.T.astype(np.float64))), 0.0, None)
    shares = eigenvalues / max(float(eigenvalues.sum()), 1e-12)
    shares = shares[shares > 1e-12]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _rounded(values: torch.Tensor, digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]
