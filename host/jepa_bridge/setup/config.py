"""The settings file: one TOML file whose keys are the drive options by their long names.

    model = "models/mine"
    goal = ["4,4", "1,1,90"]
    time-limit = 120.0

A flag goes before an environment variable, that before the file, that before the default.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jepa_bridge.errors import BridgeError, Exit

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

PREFIX = "JEPA_BRIDGE_"


def config_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where this user's files of ours lie."""
    base = environment.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path("~/.config").expanduser()) / "jepa-bridge"


def config_path(environment: Mapping[str, str] = os.environ) -> Path:
    """The settings file, whether it exists or not."""
    given = environment.get(PREFIX + "CONFIG")
    return Path(given) if given else config_folder(environment) / "config.toml"


def environment_name(option: str) -> str:
    """`time-limit` -> `JEPA_BRIDGE_TIME_LIMIT`."""
    return PREFIX + option.upper().replace("-", "_")


def read_config(path: Path, known: Collection[str]) -> dict[str, Any]:
    """Option -> value, as written. Raises BridgeError `config-unreadable`, `config-syntax`, `config-unknown-key`."""
    import tomllib  # noqa: PLC0415 - most runs have no such file

    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BridgeError(
            "config-unreadable", f"the settings file {path} cannot be read: {error}",
            "jepa-bridge config init writes a new one", status=Exit.USAGE,
        ) from error  # fmt: skip
    except tomllib.TOMLDecodeError as error:
        raise BridgeError(
            "config-syntax", f"the settings file {path} is not TOML: {error}",
            "texts stand in quotes: model = \"small\"", status=Exit.USAGE,
        ) from error  # fmt: skip
    settings = {}
    for key, value in found.items():
        name = key.replace("_", "-")
        if name not in known:
            raise unknown_key(path, key, known)
        settings[name] = value
    return settings


def unknown_key(path: Path, key: str, known: Collection[str]) -> BridgeError:
    """The error for a key that is no option, with the nearest one that is."""
    near = difflib.get_close_matches(key.replace("_", "-"), known, n=1, cutoff=0.5)
    return BridgeError(
        "config-unknown-key",
        f"the settings file {path} has {key!r}, which is no setting" + (f"; did you mean {near[0]!r}?" if near else ""),
        f"the settings are: {', '.join(sorted(known))}",
        status=Exit.USAGE,
    )


def wrong_value(path: Path, key: str, why: str) -> BridgeError:
    """The error for a value that its option does not take."""
    return BridgeError(
        "config-value", f"the settings file {path}: {key}: {why}", "jepa-bridge --help says what it takes",
        status=Exit.USAGE,
    )  # fmt: skip
