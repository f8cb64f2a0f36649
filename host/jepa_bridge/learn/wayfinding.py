"""How far it is to go in a place, learned from the drives there: what one observation cannot tell, a past can.

    ways = solve_ways(visited(shards))
    attach(Path("models/mine"), learn_way(ways), learn_lift(ways), facts={})

Two networks learn the same ways. `WayToGo` takes two positions and is what plans by: exact where it can be. `Lift` is
part of the embedding: it moves the floor so that embedding distance, the contract's own cost, is the way around walls
too. A plan pays well under a millisecond for either.
"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from jepa_bridge.learn.compile import write_planners
from jepa_bridge.learn.export import write_graphs
from jepa_bridge.learn.model import LIFT_WAVES_M, Lift, parameter_counts, waves
from jepa_bridge.learn.tracing import to_onnx
from jepa_bridge.world.bundle import read_card
from jepa_bridge.world.card import CARD, MODEL_FILES, WAY_FILE, file_hash

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from jepa_bridge.learn.model import WorldModule
    from jepa_bridge.learn.ways import Ways
    from jepa_bridge.world.card import Card

HIDDEN = 128
NEAR_PAIR_M = 0.3  # pairs nearer than about this count as if they were that far apart


class WayToGo(nn.Module):
    """Embedding [B, D], goal embedding [B, D] -> metres to go [B, 1].

    The straight line plus what walls add to it, which is never negative: near the goal and within a room the answer
    is exact whatever the network thinks. Ways are as long back as forth, so both directions are averaged.
    """

    def __init__(self) -> None:
        super().__init__()
        features = 2 * (2 + 4 * len(LIFT_WAVES_M))
        self.register_buffer("turns", 2.0 * torch.pi / torch.tensor(LIFT_WAVES_M))
        self.turns: Tensor
        last = nn.Linear(HIDDEN, 1)
        nn.init.constant_(last.bias, -2.0)  # begin with the straight line
        self.mlp = nn.Sequential(nn.Linear(features, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU(), last)

    def forward(self, embedding: Tensor, goal: Tensor) -> Tensor:
        """[B, D], [B, D] -> [B, 1]."""
        here, there = embedding[:, :2], goal[:, :2]  # an embedding begins with its position in metres
        straight = torch.sqrt((here - there).square().sum(dim=1, keepdim=True) + 1e-12)
        return straight + self.detour(here, there)

    def detour(self, here: Tensor, there: Tensor) -> Tensor:
        """Positions [B, 2], [B, 2] in metres -> what the way is longer than the straight line [B, 1]."""
        a, b = waves(here, self.turns), waves(there, self.turns)
        both = self.mlp(torch.cat((a, b), dim=1)) + self.mlp(torch.cat((b, a), dim=1))
        return functional.softplus(0.5 * both)


def learn_way(
    ways: Ways,
    *,
    seed: int = 0,
    steps: int = 4000,
    batch: int = 1024,
    progress: Callable[[int, int, str], None] | None = None,
) -> WayToGo:
    """Fit the network to the graph. Places count alike, however often they were visited."""
    torch.manual_seed(seed)
    way = WayToGo()
    pairs = _Pairs(ways, np.random.default_rng(seed))

    def loss() -> Tensor:
        a, b, metres, here, there = pairs.draw(batch)
        # the detour is what neighbours share; the straight part is taken from the visit itself, not from its cell
        detour = np.maximum(metres - np.linalg.norm(ways.centres[a] - ways.centres[b], axis=1), 0.0)
        said = way.detour(torch.from_numpy(here), torch.from_numpy(there))[:, 0]
        return functional.smooth_l1_loss(said, torch.from_numpy(detour.astype(np.float32)), beta=0.1)

    _fit(way, loss, steps, "way to go", progress)
    return way.eval()


def learn_lift(
    ways: Ways,
    *,
    seed: int = 0,
    steps: int = 3000,
    batch: int = 1024,
    progress: Callable[[int, int, str], None] | None = None,
) -> Lift:
    """Fit the embedding's place coordinates: with the position they shall lie as far apart as the way is long.

    Walls make no Euclidean space, so this is the nearest that eight numbers come (multidimensional scaling, as a
    function of the position); errors count relative to the way, or the far pairs would bend the near ones.
    """
    torch.manual_seed(seed)
    lift = Lift()
    pairs = _Pairs(ways, np.random.default_rng(seed))

    def loss() -> Tensor:
        _, _, metres, here, there = pairs.draw(batch)
        a, b, wanted = torch.from_numpy(here), torch.from_numpy(there), torch.from_numpy(metres)
        squared = (a - b).square().sum(dim=1) + (lift(a) - lift(b)).square().sum(dim=1)
        error = (torch.sqrt(squared + 1e-9) - wanted) / (wanted + NEAR_PAIR_M)
        return functional.smooth_l1_loss(error, torch.zeros_like(error), beta=0.05)

    _fit(lift, loss, steps, "place", progress)
    return lift.eval()


def _fit(
    module: nn.Module,
    loss_of_a_batch: Callable[[], Tensor],
    steps: int,
    name: str,
    progress: Callable[[int, int, str], None] | None,
) -> None:
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=steps)
    for step in range(steps):
        loss = loss_of_a_batch()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if progress and (step + 1) % 200 == 0:
            progress(step + 1, steps, f"{name}: loss {loss.item():.4f}")


class _Pairs:
    """Draws pairs of visits with a way between them. Places count alike, however often they were visited."""

    def __init__(self, ways: Ways, rng: np.random.Generator) -> None:
        self._ways = ways
        self._rng = rng
        self._order = np.argsort(ways.node, kind="stable")  # visits, node by node
        self._visits = np.bincount(ways.node, minlength=len(ways.centres))
        self._begins = np.cumsum(self._visits) - self._visits

    def draw(self, count: int) -> tuple[npt.NDArray[Any], ...]:
        """Up to `count` pairs: nodes [B], nodes [B], metres [B], positions [B, 2], positions [B, 2]."""
        a, b = self._rng.integers(len(self._ways.centres), size=(2, count))
        metres = self._ways.metres[a, b]
        known = np.isfinite(metres)
        a, b, metres = a[known], b[known], metres[known]
        here, there = (
            self._ways.positions[
                self._order[self._begins[ends] + (self._rng.random(len(ends)) * self._visits[ends]).astype(np.int64)]
            ]
            for ends in (a, b)
        )
        return a, b, metres, here, there


def attach(bundle: Path, module: WorldModule, way: WayToGo, lift: Lift, facts: dict[str, Any]) -> Card:
    """Make the bundle of `module` one that lives in a place: `waytogo.onnx`, and the lift in its other graphs."""
    card = read_card(bundle)
    module.live(lift)
    with tempfile.TemporaryDirectory(dir=bundle, prefix=".place-") as scratch:
        folder = Path(scratch)
        write_graphs(module, folder)
        _write_way(way, folder / WAY_FILE, card.embedding_dim)
        planners = write_planners(module, folder, way, card.precision)
        names = (*MODEL_FILES, WAY_FILE, *planners)
        files = {name: file_hash(folder / name) for name in names}
        parameters = {
            **card.parameters,
            **parameter_counts(module),
            "waytogo": sum(parameter.numel() for parameter in way.parameters()),
        }
        metrics = {**card.metrics, "waytogo": facts}
        card = dataclasses.replace(card, files=files, planners=planners, parameters=parameters, metrics=metrics)
        (folder / CARD).write_text(card.to_json(), encoding="utf-8")
        for name in (*names, CARD):  # the card last: until it is there, the old one refuses the new graphs
            (folder / name).replace(bundle / name)
    return card


def _write_way(way: WayToGo, path: Path, dim: int) -> None:
    inputs, outputs = ("embedding", "goal"), ("metres",)
    axes = {name: {0: "batch"} for name in (*inputs, *outputs)}
    path.write_bytes(to_onnx(way, [torch.zeros(2, dim), torch.zeros(2, dim)], inputs, outputs, axes))
