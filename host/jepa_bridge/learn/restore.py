"""A bundle's graphs -> the torch modules they were exported from: a bundle is all that retraining needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.learn.export import TOLERANCE, rollout_gap
from jepa_bridge.learn.model import Lift, WorldModule
from jepa_bridge.learn.wayfinding import WayToGo
from jepa_bridge.world.bundle import World
from jepa_bridge.world.card import WAY_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

LIFTED = "lift."  # parameters of this name are in the graphs of a model that lives in a place


def module_from_bundle(bundle: Path) -> WorldModule:
    """The model, its lift included; what no graph needs (inverse dynamics) begins anew."""
    world = World.load(bundle)  # hashes first: what is read below is what the card vouches for
    torch.manual_seed(0)
    module = WorldModule(world.card.tier)
    graphs = {part: _weights(bundle / f"{part}.onnx") for part in ("encoder", "predictor", "readout")}
    if any(name.startswith(LIFTED) for name in graphs["encoder"]):
        module.live(Lift())
    for part, found in graphs.items():
        _fill(getattr(module, part), found, bundle / f"{part}.onnx")
    module.eval()
    gap = rollout_gap(module, world)
    if gap > TOLERANCE:
        raise _unlike(bundle, f"its rollout differs from torch's by {gap:.2e}")
    return module


def way_from_bundle(bundle: Path) -> WayToGo:
    """The network of `waytogo.onnx`."""
    way = WayToGo()
    _fill(way, _weights(bundle / WAY_FILE), bundle / WAY_FILE)
    return way.eval()


def _weights(path: Path) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    return {item.name: numpy_helper.to_array(item) for item in onnx.load(str(path)).graph.initializer}


def _fill(module: nn.Module, found: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]], path: Path) -> None:
    for name, parameter in module.named_parameters():
        if name not in found or found[name].shape != tuple(parameter.shape):
            raise _unlike(path.parent, f"{path.name} has no {name} of shape {tuple(parameter.shape)}")
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(np.array(found[name])))


def _unlike(bundle: Path, why: str) -> BridgeError:
    return BridgeError(
        "base-unlike",
        f"{bundle} cannot be retrained by this version: {why}",
        "export the base again with this version of jepa-bridge",
        status=Exit.MODEL,
    )
