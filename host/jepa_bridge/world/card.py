"""The card of a bundle: what the model is, where it came from, and the hash of every file beside it."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from jepa_bridge.errors import BridgeError, Exit

if TYPE_CHECKING:
    from pathlib import Path

FORMAT_VERSION = 1
CARD = "card.json"
MODEL_FILES = ("encoder.onnx", "predictor.onnx", "readout.onnx")
WAY_FILE = "waytogo.onnx"  # only in bundles that learned a place
PLANNER_FILES = ("planner.onnx", "planner_embedding.onnx")  # the whole plan by the bundle's own cost, by the contract's


@dataclass(frozen=True, slots=True)
class Card:
    """`card.json`. `files` are the SHA-256 of the model's files; everything after it describes and binds nothing."""

    tier: str
    embedding_dim: int
    step_s: float
    files: dict[str, str]
    # where wheel speeds go in an embedding that starts a rollout: first column and scale; None: this model takes none
    motion: dict[str, float] | None = None
    # what each planner graph plans by: cost, horizon in steps, and the cost's weights
    planners: dict[str, dict[str, Any]] = field(default_factory=dict)
    precision: str = "fp32"  # of the planner graphs; all others are fp32
    parameters: dict[str, int] = field(default_factory=dict)
    seeds: dict[str, int] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    format_version: int = FORMAT_VERSION

    @property
    def hash(self) -> str:
        """One SHA-256 for the model: over the names and hashes of its files, whatever else the card says."""
        lines = "".join(f"{name} {self.files[name]}\n" for name in sorted(self.files))
        return hashlib.sha256(lines.encode()).hexdigest()

    def to_json(self) -> str:
        """Indented, keys in the order of the fields, a line break at the end."""
        return json.dumps(asdict(self), indent=2) + "\n"

    def write(self, bundle: Path) -> None:
        """Put it in the place of the bundle's card in one move."""
        partial = bundle / f"{CARD}.{os.getpid()}.partial"
        partial.write_text(self.to_json(), encoding="utf-8")
        partial.replace(bundle / CARD)

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Refuses another format version; keys that this version does not know are left alone."""
        try:
            raw = json.loads(text)
            version = raw["format_version"]
        except (ValueError, KeyError, TypeError) as error:
            raise BridgeError(
                "model-corrupt",
                f"{CARD} cannot be read: {error!r}",
                "fetch or export the bundle again",
                status=Exit.MODEL,
            ) from error
        if version != FORMAT_VERSION:
            raise BridgeError(
                "model-incompatible",
                f"expected a bundle of format version {FORMAT_VERSION}, got {version}",
                "export the bundle again with this version of jepa-bridge, or update jepa-bridge",
                status=Exit.MODEL,
            )
        known = {item.name for item in fields(cls)}
        try:
            card = cls(**{name: value for name, value in raw.items() if name in known})
            missing = [name for name in MODEL_FILES if not isinstance(card.files.get(name), str)]
        except (TypeError, AttributeError) as error:
            raise BridgeError(
                "model-corrupt", f"{CARD} lacks a field: {error}", "export the bundle again", status=Exit.MODEL
            ) from error
        if missing:
            raise BridgeError(
                "model-corrupt",
                f"{CARD} has no hash for {', '.join(missing)}",
                "export the bundle again",
                status=Exit.MODEL,
            )
        return card


def file_hash(path: Path) -> str:
    """SHA-256 of a file, as hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
