"""Checkpoint -> bundle: the trained modules themselves as ONNX, the card that vouches for them, a plot of the losses.

export(Path("run/checkpoint.pt"), Path("models/small"))

What the model is worth on drives it never saw is `report`'s to add.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.learn.collect import STEP_S
from jepa_bridge.learn.compile import write_planners
from jepa_bridge.learn.model import MEMORY_SCALE_M, POSE, WorldModule, parameter_counts
from jepa_bridge.learn.page import LOSS_PLOT, PLOTS, write_page
from jepa_bridge.learn.tracing import to_onnx
from jepa_bridge.learn.train import load_module
from jepa_bridge.world.bundle import World
from jepa_bridge.world.card import CARD, MODEL_FILES, Card, file_hash
from jepa_bridge.world.vector import VECTOR_SIZE, FloatArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

TOLERANCE = 1e-4  # between torch and onnxruntime after a whole rollout


def export(
    checkpoint: Path,
    out_dir: Path,
    *,
    metrics: dict[str, Any] | None = None,
    commands: Sequence[str] = (),
    precision: str = "fp32",
) -> Card:
    """Write a bundle, prove that it rolls out as torch does, and only then put it in the place of an older one."""
    module, state = load_module(checkpoint)

    about = json.loads(state["about"])
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_dir.parent, prefix=f".{out_dir.name}-") as scratch:
        folder = Path(scratch)
        write_graphs(module, folder)
        planners = write_planners(module, folder, precision=precision)
        files = (*MODEL_FILES, *planners)
        data = about.get("data", {})
        prediction = {"prediction": about["prediction"]} if "prediction" in about else {}
        card = Card(
            tier=module.tier,
            embedding_dim=module.embedding_dim,
            step_s=STEP_S,
            files={name: file_hash(folder / name) for name in files},
            motion={"column": POSE, "scale": MEMORY_SCALE_M},
            planners=planners,
            precision=precision,
            parameters=parameter_counts(module),
            seeds={"training": state["config"]["seed"]},
            data=data,
            training={
                **state["config"],
                "steps_done": state["step"],
                "seconds": about.get("seconds"),
                "threads": about.get("threads"),
                "torch": torch.__version__,
                "collapse_alarms": about.get("alarms", []),
            },
            metrics={**prediction, **(metrics or {})},
            commands=list(commands),
        )
        (folder / CARD).write_text(card.to_json(), encoding="utf-8")
        gap = rollout_gap(module, World.load(folder))
        if gap > TOLERANCE:
            raise BridgeError(
                "export-differs",
                f"expected onnxruntime to follow torch within {TOLERANCE}, got {gap:.2e} after 10 steps",
                "report this with your versions of torch and onnxruntime",
                status=Exit.MODEL,
            )
        out_dir.mkdir(exist_ok=True)
        # the card last: until it is there, the old card's hashes refuse the new files
        for name in (*files, CARD):
            shutil.move(folder / name, out_dir / name)
    for stale in PLOTS:  # of the model that was here before
        (out_dir / stale).unlink(missing_ok=True)
    if about.get("history"):
        from jepa_bridge.learn.plots import draw_losses  # noqa: PLC0415  # matplotlib takes half a second

        draw_losses(about["history"], out_dir / LOSS_PLOT)
    write_page(out_dir)
    return card


def write_graphs(module: WorldModule, folder: Path) -> None:
    """encoder.onnx, predictor.onnx and readout.onnx, weights inside, any batch size."""
    dim = module.embedding_dim
    module.eval()
    _write(module.encoder, folder / "encoder.onnx", ("input", VECTOR_SIZE), ("embedding",))
    _write(module.predictor, folder / "predictor.onnx", ("input", dim + 2), ("embedding", "confidence"))
    _write(module.readout, folder / "readout.onnx", ("embedding", dim), ("observation",))


def rollout_gap(module: WorldModule, world: World, horizon: int = 10, batch: int = 16) -> float:
    """Largest difference between torch and the bundle over encoding, a rollout and the readout."""
    rng = np.random.default_rng(0)
    vectors: FloatArray = rng.random((batch, VECTOR_SIZE), np.float32) * np.float32(0.999)
    vectors[rng.random(vectors.shape) < 0.1] = -1.0
    vectors[:, 8:10] = np.abs(vectors[:, 8:10])
    actions: FloatArray = rng.uniform(-1.0, 1.0, (batch, horizon, 2)).astype(np.float32)
    with torch.no_grad():
        start = module.encoder(torch.from_numpy(vectors))
        embeddings, confidence = module.rollout(start, torch.from_numpy(actions))
        read = module.readout(embeddings[-1])
    current = world.encode(vectors)
    gap = float(np.abs(current - start.numpy()).max())
    for step in range(horizon):
        current, sure = world.predict(current, actions[:, step])
        gap = max(gap, float(np.abs(current - embeddings[step].numpy()).max()))
        gap = max(gap, float(np.abs(sure[:, 0] - confidence[step].numpy()).max()))
    return max(gap, float(np.abs(world.readout(current) - read.numpy()).max()))


def _write(module: nn.Module, path: Path, source: tuple[str, int], outputs: tuple[str, ...]) -> None:
    name, width = source
    axes = {key: {0: "batch"} for key in (name, *outputs)}
    path.write_bytes(to_onnx(module, [torch.zeros(2, width)], [name], outputs, axes))
