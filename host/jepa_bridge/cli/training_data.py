"""Which shards a list of files and folders comes to; recordings are made into shards on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jepa_bridge.drive.observe import observation_from
from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.record import export_shard, read_log

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def shards_of(paths: Iterable[Path], converted_dir: Path) -> list[Path]:
    """All shards, sorted; a recording's shard is written to `converted_dir`. Raises `data-missing` for none at all."""
    shards: list[Path] = []
    for path in paths:
        files = sorted([*path.rglob("*.npz"), *path.rglob("*.mcap")]) if path.is_dir() else [path]
        for file in files:
            if file.suffix != ".mcap":
                shards.append(file)
                continue
            converted_dir.mkdir(parents=True, exist_ok=True)
            shard = converted_dir / f"{file.stem}.npz"
            try:
                export_shard(read_log(file), shard, observation_from)
            except BridgeError as error:
                if error.code != "log-too-short":
                    raise
            else:
                shards.append(shard)
    if not shards:
        raise BridgeError(
            "data-missing",
            "there is nothing to train on: no shard (.npz), and no recording (.mcap) with a step of driving",
            "collect some: jepa-bridge collect --arena open --episodes 2000 --out data/open",
            status=Exit.USAGE,
        )
    return shards
