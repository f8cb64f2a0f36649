"""Where the firmware, the model bundles and the wire specification lie, installed or in a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped(name: str) -> Path:
    """The folder `firmware`, `models` or `protocol`: inside an installed wheel, or at the top of the checkout."""
    installed = _PACKAGE / "_shipped" / name
    return installed if installed.is_dir() else _PACKAGE.parent.parent / name
