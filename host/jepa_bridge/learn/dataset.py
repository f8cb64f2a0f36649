"""Shards as windows: an observation, the next H actions and the H observations that followed.

All episodes lie end to end in flat arrays and a window is a start index, so a batch is one gather and drives of any
length mix freely.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.learn.collect import SHARD_FORMAT
from jepa_bridge.world.vector import RANGES, UNKNOWN, FloatArray, pack

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

# Shares of windows whose first observation is made partly unknown. x and y always stay known.
DROPOUT_SHARE = 0.15  # of these, each range is unknown with RANGE_DROPOUT
RANGE_DROPOUT = 0.25
BLIND_SHARE = 0.02  # no ranges at all: what a pose-only goal looks like
LOST_SHARE = 0.02  # no heading


@dataclass(frozen=True, slots=True)
class Batch:
    """B windows; `start` may have unknowns that `vectors[:, 0]` still has."""

    start: FloatArray  # [B, 11]
    vectors: FloatArray  # [B, H + 1, 11]
    actions: FloatArray  # [B, H, 2]


class Windows:
    """Windows of `horizon` steps over drives; see `load`."""

    def __init__(self, drives: Sequence[tuple[FloatArray, FloatArray]], horizon: int) -> None:
        """`drives`: (vectors [T + 1, 11], actions [T, 2]) each."""
        self.horizon = horizon
        vectors, actions, starts, offset = [], [], [], 0
        for drive, wheels in drives:
            steps = len(wheels)
            vectors.append(drive)
            # one more row that no window reaches, so that both arrays have the same index
            actions.append(np.concatenate((wheels, np.zeros((1, 2), np.float32))))
            starts.append(offset + np.arange(max(steps - horizon + 1, 0)))
            offset += steps + 1
        if not starts or not sum(map(len, starts)):
            raise BridgeError(
                "no-data",
                f"expected drives of at least {horizon} steps, got none",
                "collect some first: jepa-bridge collect",
                status=Exit.USAGE,
            )
        self.vectors: FloatArray = np.concatenate(vectors).astype(np.float32)
        self.actions: FloatArray = np.concatenate(actions).astype(np.float32)
        self.starts: npt.NDArray[np.int64] = np.concatenate(starts).astype(np.int64)

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def transitions(self) -> int:
        """How many steps were driven."""
        return len(self.actions)

    def batch(self, indices: npt.NDArray[np.int64], rng: np.random.Generator | None = None) -> Batch:
        """The windows of these indices; with `rng`, some starts are made partly unknown."""
        first = self.starts[indices]
        rows = first[:, None] + np.arange(self.horizon + 1)  # [B, H + 1]
        vectors = self.vectors[rows]
        start = vectors[:, 0].copy()
        if rng is not None:
            mask(start, rng)
        return Batch(start, vectors, self.actions[rows[:, :-1]])


def mask(vectors: FloatArray, rng: np.random.Generator) -> None:
    """Make parts of vectors [B, 11] unknown, in place. Never x or y: nothing could be predicted about a nowhere."""
    count = len(vectors)
    dropped = rng.random((count, RANGES)) < RANGE_DROPOUT
    dropped &= (rng.random(count) < DROPOUT_SHARE)[:, None]
    dropped |= (rng.random(count) < BLIND_SHARE)[:, None]
    vectors[:, :RANGES][dropped] = UNKNOWN
    vectors[rng.random(count) < LOST_SHARE, -1] = UNKNOWN


def load(shards: Sequence[Path], horizon: int, held_out: float = 0.05) -> tuple[Windows, Windows, dict[str, Any]]:
    """Training windows, held-out windows, and a description of the data for the card.

    The last drives of every shard are held out, at least one: whole drives, each from an arena of its own.
    The pose is the true one where the shard has it: odometry spins on through walls, and a model that learned so would
    plan through them.
    """
    train: list[tuple[FloatArray, FloatArray]] = []
    test: list[tuple[FloatArray, FloatArray]] = []
    arenas: dict[str, int] = {}
    for path in sorted(shards):
        vectors, actions, meta = read_shard(path)
        drives = list(zip(vectors, actions, strict=True))
        count = max(1, round(held_out * len(drives))) if len(drives) > 1 else 0
        train += drives[: len(drives) - count]
        test += drives[len(drives) - count :]
        arenas[meta["arena"]] = arenas.get(meta["arena"], 0) + len(drives)
    if not test:
        test = train[-1:]
    windows = Windows(train, horizon)
    about = {
        "shards": len(shards),
        "episodes": arenas,
        "transitions": windows.transitions,
        "names": [path.name for path in sorted(shards)],
    }
    return windows, Windows(test, horizon), about


def read_shard(path: Path) -> tuple[FloatArray, FloatArray, dict[str, Any]]:
    """One shard as contract vectors [E, T + 1, 11], actions [E, T, 2] and its meta."""
    try:
        with np.load(path, allow_pickle=False) as shard:
            meta = json.loads(str(shard["meta"]))
            found = meta.get("format")
            if found != SHARD_FORMAT:
                raise ValueError(f"expected shard format {SHARD_FORMAT}, got {found}")
            pose = shard["true_pose"] if "true_pose" in shard else shard["pose"]
            return pack(shard["ranges_m"], pose), shard["actions"].astype(np.float32), meta
    except (OSError, ValueError, KeyError) as error:
        raise BridgeError(
            "shard-unreadable",
            f"{path} is not a readable shard: {error}",
            "delete it and collect again: only missing shards are made",
            status=Exit.USAGE,
        ) from error
