"""Which robot was driven last, so that people need not write its uid down. It decides nothing: none is guessed."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jepa_bridge.setup.config import config_folder

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Remembered:
    """The robot of the last run that found one by itself or was told one."""

    uid: str  # hexadecimal
    board: str
    port: str


def memory_path(environment: Mapping[str, str] = os.environ) -> Path:
    """The file, in the folder that systemd gives a service, else beside the settings."""
    given = environment.get("STATE_DIRECTORY", "").partition(":")[0]
    return (Path(given) if given else config_folder(environment)) / "robot.json"


def remembered(path: Path | None = None) -> Remembered | None:
    """The last robot; None if there is none, or the file is not to be read."""
    try:
        found = json.loads((path or memory_path()).read_text())
        return Remembered(str(found["uid"]), str(found["board"]), str(found["port"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember(robot: Remembered, path: Path | None = None) -> bool:
    """Write it down; False if that cannot be done, which is no reason not to drive."""
    path = path or memory_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}.new")
        fresh.write_text(json.dumps(asdict(robot)) + "\n")
        fresh.replace(path)
    except OSError:
        return False
    return True
