"""What training asks for, each part by name so that logs and ablations can tell them apart.

`Parts` are already divided by what counts as a small error, so a weight of one means "equally important".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from jepa_bridge.learn.model import split, with_motion
from jepa_bridge.world.vector import POSITION_SCALE_M, RANGE_SCALE_M, RANGES

if TYPE_CHECKING:
    from jepa_bridge.learn.model import Encoder, WorldModule

# What confidence predicts: up to and with this step of the rollout, the position and the mean over the sensors stay
# within these bounds and the robot touches nothing. Touching belongs to it because the gate must stop plans that end
# at a wall, however well they foresee it. Ranges count up to REACH_M: in the horizon's 2 s at 0.5 m/s nothing further
# away can be met, and what comes into view over there is anybody's guess.
POSITION_BOUND_M = 0.15
RANGE_BOUND_M = 0.2
REACH_M = 1.0


SMALL_POSITION_M = 0.03
SMALL_TURN = 0.05  # in cosine and sine: about 3 degrees
SMALL_RANGE_M = 0.15
NEAR_M = 0.3  # ranges about this short count up to NEAR_FACTOR times as much: there the robot is in danger
NEAR_FACTOR = 3.0


@dataclass(frozen=True, slots=True)
class LossWeights:
    """How much each part counts."""

    position: float = 1.0
    heading: float = 1.0
    code: float = 1.0  # predicted local code against the target encoder's
    ranges: float = 1.0  # readout of predicted codes
    seen: float = 0.5  # readout of encoded observations
    variance: float = 4.0  # VICReg (Bardes et al., 2022), on the local code: predicted codes may shrink to please
    covariance: float = 0.1
    inverse: float = 0.3
    confidence: float = 0.2


def losses(
    module: WorldModule,
    target: Encoder,
    start: Tensor,
    motion: Tensor,
    vectors: Tensor,
    actions: Tensor,
    touched: Tensor,
    pair: int,
) -> dict[str, Tensor]:
    """All parts for start [B, 11], motion [B, 3], vectors [B, H + 1, 11], actions [B, H, 2], touched [B, H] bool.

    `target` is the encoder's slow copy: predicting a moving average of oneself keeps the code from chasing its own
    tail (BYOL, Grill et al. 2020). Observations `pair` and `pair + 1` of each window go through the encoder itself.
    """
    horizon = actions.shape[1]
    embeddings, confidence = module.rollout(with_motion(module.encoder(start), motion), actions)  # [H, B, D], [H, B]
    position, heading, _, _, code = split(embeddings)
    future = vectors[:, 1:].transpose(0, 1)  # [H, B, 11]
    with torch.no_grad():
        wanted_code = target.local(future[..., :RANGES])  # [H, B, L]
        sensed = (future[..., :RANGES] >= 0.0).any(dim=-1)  # [H, B] a wholly blind target says nothing

    wanted_position = future[..., RANGES : RANGES + 2] * POSITION_SCALE_M
    off_m = position - wanted_position  # [H, B, 2]
    angle = future[..., -1] * (2.0 * torch.pi)
    wanted_heading = torch.stack((torch.cos(angle), torch.sin(angle)), dim=-1)
    parts = {
        "position": _huber(off_m / SMALL_POSITION_M).mean(),
        "heading": _huber((heading - wanted_heading) / SMALL_TURN).mean(),
        "code": (sensed * (code - wanted_code).square().mean(dim=-1)).mean(),
    }

    read = module.readout.ranges(code)  # [H, B, 8]
    parts["ranges"] = _range_loss(read, future[..., :RANGES])

    with torch.no_grad():
        within = within_bounds(off_m.norm(dim=-1), read, future[..., :RANGES])  # [H, B]
        due = still_good(within, touched.T).to(confidence.dtype)
    parts["confidence"] = functional.binary_cross_entropy(confidence, due)

    seen = vectors[:, pair : pair + 2, :RANGES]  # [B, 2, 8]
    codes = module.encoder.local(seen)  # [B, 2, L]
    parts["seen"] = _range_loss(module.readout.ranges(codes), seen)
    parts["variance"], parts["covariance"] = _spread(codes[:, 0])
    assert pair < horizon
    parts["inverse"] = functional.mse_loss(module.inverse(codes[:, 0], codes[:, 1]), actions[:, pair])
    return parts


def total(parts: dict[str, Tensor], weights: LossWeights) -> Tensor:
    """The weighted sum."""
    terms = [getattr(weights, name) * part for name, part in parts.items()]
    return torch.stack(terms).sum()


def _huber(error: Tensor) -> Tensor:
    """Square for small errors, straight beyond: a corner that came into view must not drown the rest."""
    return functional.smooth_l1_loss(error, torch.zeros_like(error), reduction="none")


def within_bounds(off_m: Tensor, read: Tensor, wanted: Tensor) -> Tensor:
    """Distance from the true position [...], read and true contract ranges [..., 8] -> whether it is within bounds."""
    known = wanted >= 0.0
    reach = REACH_M / RANGE_SCALE_M
    error_m = (read.clamp(0.0, reach) - wanted.clamp(0.0, reach)).abs() * RANGE_SCALE_M * known
    return (off_m <= POSITION_BOUND_M) & (error_m.sum(dim=-1) / known.sum(dim=-1).clamp(min=1) <= RANGE_BOUND_M)


def still_good(within: Tensor, touched: Tensor) -> Tensor:
    """Within bounds [H, B] and touched [H, B] at each step -> whether all was well up to and with it: what was due."""
    return (within & ~touched).cummin(dim=0).values


def _range_loss(read: Tensor, wanted: Tensor) -> Tensor:
    """Read and wanted contract ranges [..., 8] -> weighted loss."""
    known = (wanted >= 0.0).to(read.dtype)
    error_m = (read - wanted) * RANGE_SCALE_M * known
    near = 1.0 + (NEAR_FACTOR - 1.0) * torch.exp(-torch.square(wanted * RANGE_SCALE_M / NEAR_M))
    return (near * _huber(error_m / SMALL_RANGE_M)).sum() / known.sum().clamp(min=1.0)


def _spread(code: Tensor) -> tuple[Tensor, Tensor]:
    """Codes [B, L] -> how far each dimension falls short of spreading, and how much dimensions repeat each other."""
    centred = code - code.mean(dim=0)
    deviation = (centred.square().mean(dim=0) + 1e-4).sqrt()
    variance = functional.relu(0.7 - deviation).mean()  # on the sphere the mean square is one, mean included
    covariance = centred.T @ centred / (len(code) - 1)
    off_diagonal = covariance - torch.diag(torch.diagonal(covariance))
    return variance, off_diagonal.square().sum() / code.shape[1]
