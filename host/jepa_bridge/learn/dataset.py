"""Shards as windows: an observation, the next H actions and the H observations that followed.

All episodes lie end to end in flat arrays and a window is a start index, so a batch is one gather and drives of any
length mix freely.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.learn.collect import SHARD_FORMAT, arena_seed, episode_rng
from jepa_bridge.world.bundle import WHEEL_SPEED_M_S
from jepa_bridge.world.vector import RANGES, UNKNOWN, FloatArray, pack

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BoolArray = npt.NDArray[np.bool_]

HELD_OUT = 0.05  # of a shard's drives
# Shares of windows whose first observation is made partly unknown. x and y always stay known.
DROPOUT_SHARE = 0.15  # of these, each range is unknown with RANGE_DROPOUT
RANGE_DROPOUT = 0.25
BLIND_SHARE = 0.02  # no ranges at all: what a pose-only goal looks like
LOST_SHARE = 0.02  # no heading
STILL_SHARE = 0.2  # of windows, wheel speeds unknown: a plan asked for over HTTP
SPEED_NOISE = 0.03  # of full speed: encoders count whole ticks


@dataclass(frozen=True, slots=True)
class Batch:
    """B windows; `start` may have unknowns that `vectors[:, 0]` still has."""

    start: FloatArray  # [B, 11]
    motion: FloatArray  # [B, 3] 1 if the wheels' speeds are known, left, right in units of full speed
    vectors: FloatArray  # [B, H + 1, 11]
    actions: FloatArray  # [B, H, 2]
    touched: BoolArray  # [B, H] whether the body touched anything in that step; see `Windows.batch`


@dataclass(frozen=True, slots=True)
class Drive:
    """One uninterrupted drive of T steps, from a shard or a log."""

    vectors: FloatArray  # [T + 1, 11]
    actions: FloatArray  # [T, 2]
    speeds: FloatArray  # [T + 1, 2] left, right wheel in units of full speed; NaN is unknown
    contact: BoolArray  # [T + 1] whether it touched anything in the step before
    place: tuple[str, int] | None = None  # arena and its seed; None: a log, or a simulator without seeded arenas
    drawn: bool = False  # whether the robot is the twin as drawn, not a randomised one


class Windows:
    """Windows of `horizon` steps over drives; see `load`."""

    def __init__(self, drives: Sequence[Drive], horizon: int) -> None:
        self.horizon = horizon
        vectors, actions, speeds, contact, starts, of_drive, offset = [], [], [], [], [], [], 0
        for number, drive in enumerate(drives):
            steps = len(drive.actions)
            vectors.append(drive.vectors)
            speeds.append(drive.speeds)
            contact.append(drive.contact)
            # one more row that no window reaches, so that all arrays have the same index
            actions.append(np.concatenate((drive.actions, np.zeros((1, 2), np.float32))))
            starts.append(offset + np.arange(max(steps - horizon + 1, 0)))
            of_drive.append(np.full(len(starts[-1]), number))
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
        self.speeds: FloatArray = np.concatenate(speeds).astype(np.float32)
        self.contact: BoolArray = np.concatenate(contact)
        self.starts: npt.NDArray[np.int64] = np.concatenate(starts).astype(np.int64)
        self.of_drive: npt.NDArray[np.int64] = np.concatenate(of_drive).astype(np.int64)  # each window's drive

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def transitions(self) -> int:
        """How many steps were driven."""
        return len(self.actions)

    def batch(self, indices: npt.NDArray[np.int64], rng: np.random.Generator | None = None) -> Batch:
        """The windows of these indices; with `rng`, some starts are made partly unknown.

        A robot that starts in touch with a wall needs a step to leave it: touching in the first step does not count
        then, or no plan from there could be trusted, the one that drives away included.
        """
        first = self.starts[indices]
        rows = first[:, None] + np.arange(self.horizon + 1)  # [B, H + 1]
        vectors = self.vectors[rows]
        start = vectors[:, 0].copy()
        speeds = self.speeds[first]
        known = np.isfinite(speeds[:, 0] + speeds[:, 1])
        if rng is not None:
            mask(start, rng)
            known &= rng.random(len(known)) >= STILL_SHARE
            speeds = speeds + rng.normal(0.0, SPEED_NOISE, speeds.shape).astype(np.float32)
        motion = np.where(known[:, None], np.concatenate((np.ones((len(known), 1), np.float32), speeds), axis=1), 0.0)
        touched = self.contact[rows[:, 1:]]  # [B, H]
        touched[:, 0] &= ~self.contact[first]
        return Batch(start, motion.astype(np.float32), vectors, self.actions[rows[:, :-1]], touched)


def mask(vectors: FloatArray, rng: np.random.Generator) -> None:
    """Make parts of vectors [B, 11] unknown, in place. Never x or y: nothing could be predicted about a nowhere."""
    count = len(vectors)
    dropped = rng.random((count, RANGES)) < RANGE_DROPOUT
    dropped &= (rng.random(count) < DROPOUT_SHARE)[:, None]
    dropped |= (rng.random(count) < BLIND_SHARE)[:, None]
    vectors[:, :RANGES][dropped] = UNKNOWN
    vectors[rng.random(count) < LOST_SHARE, -1] = UNKNOWN


def load(shards: Sequence[Path], horizon: int, held_out: float = HELD_OUT) -> tuple[Windows, Windows, dict[str, Any]]:
    """Training windows, held-out windows, and a description of the data for the card; see `split`."""
    train, test, about = split(shards, held_out)
    windows = Windows(train, horizon)
    about |= {"sha256": fingerprint(shards), "transitions": windows.transitions}
    return windows, Windows(test, horizon), about


def split(shards: Sequence[Path], held_out: float = HELD_OUT) -> tuple[list[Drive], list[Drive], dict[str, Any]]:
    """Drives to train on, held-out drives, and a description of the data.

    The last drives of every shard are held out, at least one: whole drives, each from an arena of its own.
    The pose is the true one where the shard has it: odometry spins on through walls, and a model that learned so would
    plan through them.
    """
    train: list[Drive] = []
    test: list[Drive] = []
    arenas: dict[str, int] = {}
    for path in sorted(shards):
        drives, meta = read_shard(path)
        count = max(1, round(held_out * len(drives))) if len(drives) > 1 else 0
        train += drives[: len(drives) - count]
        test += drives[len(drives) - count :]
        place = meta.get("arena") or meta.get("source", "unknown")
        arenas[place] = arenas.get(place, 0) + len(drives)
    if not test:
        test = train[-1:]
    names = [path.name for path in sorted(shards)]
    about = {"shards": len(shards), "episodes": arenas, "names": names}
    return train, test, about


def fingerprint(shards: Sequence[Path]) -> str:
    """One SHA-256 over the names and contents of the shards, whatever folder they lie in."""
    whole = hashlib.sha256()
    for path in sorted(shards, key=lambda path: path.name):
        with path.open("rb") as content:
            whole.update(f"{path.name} {hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()


def read_shard(path: Path) -> tuple[list[Drive], dict[str, Any]]:
    """One shard's drives and its meta."""
    try:
        with np.load(path, allow_pickle=False) as shard:
            meta = json.loads(str(shard["meta"]))
            found = meta.get("format", SHARD_FORMAT)  # shards made from logs do not say
            if found != SHARD_FORMAT:
                raise ValueError(f"expected shard format {SHARD_FORMAT}, got {found}")
            pose = shard["pose"]
            if "true_pose" in shard:
                known = np.isfinite(shard["true_pose"]).all(axis=(1, 2))  # [E]; a log has none
                pose = np.where(known[:, None, None], shard["true_pose"], pose)
            vectors, actions = pack(shard["ranges_m"], pose), shard["actions"].astype(np.float32)
            if "wheels_m_s" in shard:
                speeds = shard["wheels_m_s"].astype(np.float32) / np.float32(WHEEL_SPEED_M_S)
            else:
                speeds = np.full((*vectors.shape[:2], 2), np.nan, np.float32)
            contact = shard["contact"].astype(np.bool_)
            return [
                Drive(*arrays, *_about(meta, episode))
                for episode, arrays in enumerate(zip(vectors, actions, speeds, contact, strict=True))
            ], meta
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise BridgeError(
            "shard-unreadable",
            f"{path} is not a readable shard: {error}",
            "delete it and collect again: only missing shards are made",
            status=Exit.USAGE,
        ) from error


def _about(meta: dict[str, Any], episode: int) -> tuple[tuple[str, int] | None, bool]:
    """Where an episode of a twin's shard was driven, and whether by the robot as drawn."""
    if "shard" not in meta:
        return None, False  # a log
    rng = episode_rng(meta["arena"], meta["seed"], meta["shard"], episode)
    return (meta["arena"], arena_seed(rng)), meta["robots"][episode] is None
