"""The ways of a place, from the drives there: visited positions are nodes, experienced motion is the edges between.

    ways = solve_ways(visited(shards))

The shortest way between any two nodes (Floyd, "Algorithm 97", 1962) is what learn/wayfinding.py teaches a network:
search on the replay buffer (Eysenbach et al. 2019), done once and ahead of time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.learn.dataset import read_shard
from jepa_bridge.world.vector import POSITION_SCALE_M, RANGE_SCALE_M, RANGES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from jepa_bridge.world.vector import FloatArray

CELL_M = 0.1  # nodes: a robot's radius, so that a cell is never on both sides of a wall
LINK_STEPS = 5  # edges join positions up to so many steps apart: 0.5 m at most, short enough not to cut a corner
NODES_MAX = 4000  # all-pairs ways take the third power of it: a minute
ROOM_M = 0.25  # ways nearer than this to an obstacle count longer:
NARROW = 3.0  # by up to so many times their length, touching it. Corners are thin, and the shortest way grazes them
ROOM_QUANTILE = 0.2  # of the shortest ranges seen in a cell: the thin edge that only some headings see counts


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
