"""How far it is to go in a place, learned from the drives there: what one observation cannot tell, a past can.

    way = learn_way(visited(shards), embedding_dim=128, seed=0)
    attach(way, Path("models/mine"))

Visited positions become the nodes of a graph, experienced motion its edges; the shortest way between any two nodes
(Floyd, "Algorithm 97", 1962) is what a small network then learns by regression. That is search on the replay buffer
(Eysenbach et al. 2019) done once, ahead of time, so that a plan pays a few milliseconds for it.
"""

from __future__ import annotations

import dataclasses
import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.learn.compile import add_planners
from jepa_bridge.learn.dataset import read_shard
from jepa_bridge.learn.export import OPSET
from jepa_bridge.learn.model import LIFT_WAVES_M, Lift, waves
from jepa_bridge.world.bundle import read_card
from jepa_bridge.world.card import CARD, WAY_FILE, file_hash
from jepa_bridge.world.vector import POSITION_SCALE_M, RANGE_SCALE_M, RANGES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from jepa_bridge.world.card import Card
    from jepa_bridge.world.vector import FloatArray

CELL_M = 0.1  # nodes: a robot's radius, so that a cell is never on both sides of a wall
LINK_STEPS = 5  # edges join positions up to so many steps apart: 0.5 m at most, short enough not to cut a corner
NODES_MAX = 4000  # all-pairs ways take the third power of it: a minute
ROOM_M = 0.25  # ways nearer than this to an obstacle count longer:
NARROW = 3.0  # by up to so many times their length, touching it. Corners are thin, and the shortest way grazes them
ROOM_QUANTILE = 0.2  # of the shortest ranges seen in a cell: the thin edge that only some headings see counts
HIDDEN = 128
NEAR_PAIR_M = 0.3  # pairs nearer than about this count as if they were that far apart


@dataclass(frozen=True, slots=True)
class Ways:
    """The graph, solved."""

    positions: npt.NDArray[np.float32]  # [V, 2] metres, every visited position
    node: npt.NDArray[np.int64]  # [V] its node
    centres: npt.NDArray[np.float32]  # [N, 2] mean position of each node
    metres: npt.NDArray[np.float32]  # [N, N] shortest way; infinite: no drive led from here to there

    @property
    def connected(self) -> float:
        """Share of pairs of nodes with a way between them."""
        return float(np.isfinite(self.metres).mean())


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


def visited(shards: Sequence[Path]) -> list[npt.NDArray[np.float32]]:
    """Of every drive [T + 1, 3]: x m, y m, and the shortest range in metres.

    Of a log only what came before the first contact: a robot that pushes turns its wheels, not itself, and one step
    of odometry through a wall would be a way through it.
    """
    paths = []
    for path in shards:
        drives, meta = read_shard(path)
        for drive in drives:
            end = int(drive.contact.argmax()) if meta.get("source") == "log" and drive.contact.any() else None
            if len(drive.vectors[:end]):
                paths.append(_visit(drive.vectors[:end]))
    return paths


def _visit(vectors: FloatArray) -> FloatArray:
    ranges = vectors[:, :RANGES]
    shortest = np.where(ranges >= 0.0, ranges, 1.0).min(axis=1, keepdims=True) * np.float32(RANGE_SCALE_M)
    return np.concatenate((vectors[:, RANGES : RANGES + 2] * np.float32(POSITION_SCALE_M), shortest), axis=1)


def solve_ways(paths: Sequence[npt.NDArray[np.float32]]) -> Ways:
    """Shortest ways between all places that were visited, over what was driven, either way round."""
    visits = np.concatenate(paths)
    positions = visits[:, :2]
    cells, node = np.unique(np.floor(positions / CELL_M).astype(np.int64), axis=0, return_inverse=True)
    node = node.reshape(-1)
    count = len(cells)
    if not 1 < count <= NODES_MAX:
        raise BridgeError(
            "place-size",
            f"expected drives over 2 to {NODES_MAX} cells of {CELL_M} m, got {count}",
            "retrain on the drives of one place",
            status=Exit.USAGE,
        )
    counts = np.bincount(node, minlength=count)
    centres = np.stack([np.bincount(node, positions[:, axis], count) for axis in (0, 1)], axis=1) / counts[:, None]
    shortest_first = np.lexsort((visits[:, 2], node))
    room_m = visits[shortest_first[np.cumsum(counts) - counts + (ROOM_QUANTILE * counts).astype(np.int64)], 2]
    narrow = 1.0 + NARROW * np.maximum(1.0 - room_m / ROOM_M, 0.0)  # [N]
    metres = np.full((count, count), np.inf, np.float32)
    np.fill_diagonal(metres, 0.0)
    first = 0
    for path in paths:
        here = node[first : first + len(path)]
        for steps in range(1, min(LINK_STEPS, len(path) - 1) + 1):
            a, b = here[:-steps], here[steps:]
            metres[a, b] = metres[b, a] = (
                np.linalg.norm(centres[a] - centres[b], axis=1) * 0.5 * (narrow[a] + narrow[b])
            )
        first += len(path)
    for middle in range(count):
        np.minimum(metres, metres[:, middle, None] + metres[None, middle], out=metres)
    return Ways(positions, node, centres.astype(np.float32), metres)


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
    rng = np.random.default_rng(seed)
    way = WayToGo()
    optimizer = torch.optim.AdamW(way.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=steps)
    pairs = _Pairs(ways, rng)
    for step in range(steps):
        a, b, metres, here, there = pairs.draw(batch)
        # the detour is what neighbours share; the straight part is taken from the visit itself, not from its cell
        detour = np.maximum(metres - np.linalg.norm(ways.centres[a] - ways.centres[b], axis=1), 0.0)
        said = way.detour(torch.from_numpy(here), torch.from_numpy(there))[:, 0]
        loss = functional.smooth_l1_loss(said, torch.from_numpy(detour.astype(np.float32)), beta=0.1)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if progress and (step + 1) % 200 == 0:
            progress(step + 1, steps, f"way to go: loss {loss.item():.4f}")
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
    optimizer = torch.optim.AdamW(lift.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=steps)
    pairs = _Pairs(ways, np.random.default_rng(seed))
    for step in range(steps):
        _, _, metres, here, there = pairs.draw(batch)
        a, b, wanted = torch.from_numpy(here), torch.from_numpy(there), torch.from_numpy(metres)
        squared = (a - b).square().sum(dim=1) + (lift(a) - lift(b)).square().sum(dim=1)
        error = (torch.sqrt(squared + 1e-9) - wanted) / (wanted + NEAR_PAIR_M)
        loss = functional.smooth_l1_loss(error, torch.zeros_like(error), beta=0.05)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if progress and (step + 1) % 200 == 0:
            progress(step + 1, steps, f"place: loss {loss.item():.4f}")
    return lift.eval()


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


def attach(way: WayToGo, bundle: Path, facts: dict[str, Any]) -> Card:
    """Add `waytogo.onnx` to a bundle, and its hash and `facts` to the card. The contract's graphs stay as they are."""
    card = read_card(bundle)
    dim = card.embedding_dim
    partial = bundle / f"{WAY_FILE}.{os.getpid()}.partial"
    names = ("embedding", "goal", "metres")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a newer exporter exists; it needs onnxscript
        torch.onnx.export(
            way,
            (torch.zeros(2, dim), torch.zeros(2, dim)),
            str(partial),
            input_names=list(names[:2]),
            output_names=list(names[2:]),
            dynamic_axes={name: {0: "batch"} for name in names},
            opset_version=OPSET,
            dynamo=False,
        )
    partial.replace(bundle / WAY_FILE)  # before the card: the old card does not know it
    files = {**card.files, WAY_FILE: file_hash(bundle / WAY_FILE)}
    parameters = {**card.parameters, "waytogo": sum(parameter.numel() for parameter in way.parameters())}
    card = dataclasses.replace(card, files=files, parameters=parameters, metrics={**card.metrics, "waytogo": facts})
    written = bundle / (CARD + ".partial")
    written.write_text(card.to_json(), encoding="utf-8")
    written.replace(bundle / CARD)
    return add_planners(bundle)
