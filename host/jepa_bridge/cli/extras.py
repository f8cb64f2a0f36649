"""The answer to a missing optional package: the line that installs it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from jepa_bridge.errors import missing_extra

if TYPE_CHECKING:
    from collections.abc import Iterator

OPTIONAL = {"mujoco": "sim", "torch": "train", "onnx": "train", "matplotlib": "train", "pytorch_mppi": "bench"}


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """A missing optional package becomes a BridgeError that names `extra`, which holds all that the verb needs."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in OPTIONAL:
            raise
        raise missing_extra(package, extra) from error
