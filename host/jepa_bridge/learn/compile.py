"""A bundle's planner graphs: the modules of planner_graph.py, traced one by one and put together around a Scan.

    write_planners(module, folder)              planner.onnx and planner_embedding.onnx of a bundle that is being made
    add_planners(Path("models/mine"))           the same for one that is there, with the way to go if it has learned one

The scan runs over offsets and keep, so a plan takes as many iterations as it is given offsets.
"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from jepa_bridge.learn.planner_costs import ClearanceGraph, EmbeddingGraph
from jepa_bridge.learn.planner_graph import Conclude, Improve, Planner, Prelude
from jepa_bridge.learn.precision import reduce
from jepa_bridge.learn.tracing import IR_VERSION, OPSET, to_onnx
from jepa_bridge.plan.compiled import identity
from jepa_bridge.world.bundle import read_card
from jepa_bridge.world.card import PLANNER_FILES, WAY_FILE, file_hash
from jepa_bridge.world.vector import VECTOR_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from jepa_bridge.learn.model import WorldModule
    from jepa_bridge.learn.planner_costs import CostGraph
    from jepa_bridge.learn.wayfinding import WayToGo
    from jepa_bridge.world.card import Card

HORIZON = 10


def write_planners(
    module: WorldModule, folder: Path, way: WayToGo | None = None, precision: str = "fp32"
) -> dict[str, dict[str, Any]]:
    """The files of PLANNER_FILES; returns what the card says about each."""
    costs = {
        "clearance" if way is None else "waytogo": ClearanceGraph(module, HORIZON, way=way),
        "embedding": EmbeddingGraph(module, HORIZON),
    }
    about = {}
    for name, (cost, graph) in zip(PLANNER_FILES, costs.items(), strict=True):
        (folder / name).write_bytes(planner_graph(module, graph).SerializeToString())
        reduce(folder / name, precision)
        about[name] = identity(cost, HORIZON)
    return about


def add_planners(bundle: Path, precision: str | None = None) -> Card:
    """Compile the planners of a bundle anew from its other graphs, and bring its card up to date.

    In its own precision, or in another.
    """
    from jepa_bridge.learn.restore import module_from_bundle, way_from_bundle  # noqa: PLC0415  # which needs this

    card = read_card(bundle)
    way = way_from_bundle(bundle) if WAY_FILE in card.files else None
    with tempfile.TemporaryDirectory(dir=bundle, prefix=".planners-") as scratch:
        planners = write_planners(module_from_bundle(bundle), Path(scratch), way, precision or card.precision)
        # the card after the graphs: until then the old one refuses them
        for name in planners:
            (Path(scratch) / name).replace(bundle / name)
    files = {**card.files, **{name: file_hash(bundle / name) for name in planners}}
    card = dataclasses.replace(card, files=files, planners=planners, precision=precision or card.precision)
    card.write(bundle)
    return card


def planner_graph(module: WorldModule, cost: CostGraph, horizon: int = HORIZON) -> onnx.ModelProto:
    """One graph for the whole plan."""
    planner = Planner(module, cost, horizon).eval()
    samples = 3
    vector = torch.full((1, VECTOR_SIZE), 0.5)
    start = [vector, torch.zeros(1, 3), vector, torch.ones(1), torch.ones(1, samples, 1)]
    with torch.no_grad():
        terms = Prelude(planner)(*start)
    names = [f"term_{index}" for index in range(len(terms))]
    nominal, offsets, keep = torch.zeros(1, 2 * horizon), torch.zeros(samples, 2 * horizon), torch.ones(samples, 1)
    parts = {
        "prelude": _trace(
            Prelude(planner), start, ["observation", "motion", "goal", "radius_m", "kept"], names, {"kept": {1: "S"}}
        ),
        "improve": _trace(
            Improve(planner),
            [nominal, offsets, keep, torch.tensor(0.1), nominal - 1.0, nominal + 1.0, *terms],
            ["nominal", "offsets", "kept", "temperature", "lowest", "highest", *names],
            ["better"],
            {"offsets": {0: "S"}, "kept": {0: "S"}},
        ),
        "conclude": _trace(
            Conclude(planner), [nominal, *terms[1:]], ["nominal", *names[1:]], ["actions", "cost", "confidence"]
        ),
    }
    return _joined(parts, names, horizon)


def _trace(
    module: nn.Module,
    arguments: list[Tensor],
    inputs: list[str],
    outputs: list[str],
    axes: dict[str, dict[int, str]] | None = None,
) -> onnx.GraphProto:
    return onnx.load_from_string(to_onnx(module, arguments, inputs, outputs, axes)).graph


def _joined(parts: dict[str, onnx.GraphProto], terms: list[str], horizon: int) -> onnx.ModelProto:
    """Prelude, Scan of improve, conclude. Weights are shared: those with the same bytes are one."""
    shared: dict[tuple[str, bytes], onnx.TensorProto] = {}
    for part, graph in parts.items():
        names: dict[str, str] = {"nominal": "found" if part == "conclude" else "nominal"}
        names |= {name: name for name in terms}
        for item in graph.initializer:
            values = numpy_helper.to_array(item)
            key = str((values.dtype, values.shape)), values.tobytes()
            if key not in shared:
                item_named = onnx.TensorProto()
                item_named.CopyFrom(item)
                item_named.name = f"weight_{len(shared)}"
                shared[key] = item_named
            names[item.name] = shared[key].name
        outside = {value.name for value in (*graph.input, *graph.output)}
        for node in graph.node:
            for values_named in (node.input, node.output):
                for index, name in enumerate(values_named):
                    if name in names:
                        values_named[index] = names[name]
                    elif name and name not in outside:
                        values_named[index] = f"{part}/{name}"
            node.name = f"{part}/{node.name}"
    flat = [1, 2 * horizon]
    body = helper.make_graph(
        parts["improve"].node,
        "iteration",
        [
            _float("nominal", flat),
            _float("offsets", ["S", 2 * horizon]),
            _float("kept", ["S", 1]),
        ],
        [_float("better", flat)],
    )
    constants = [
        numpy_helper.from_array(np.array([0, 0, 2 * horizon], np.int64), "flat_offsets"),
        numpy_helper.from_array(np.array([0, 0, 1], np.int64), "flat_keep"),
        numpy_helper.from_array(np.array(flat, np.int64), "flat_warm_start"),
        numpy_helper.from_array(np.array([2, 2 * horizon], np.int64), "flat_reach"),
    ]
    nodes = [
        helper.make_node("Reshape", ["offsets", "flat_offsets"], ["rows"], name="rows"),
        helper.make_node("Reshape", ["keep", "flat_keep"], ["kept"], name="kept"),
        helper.make_node("Reshape", ["warm_start", "flat_warm_start"], ["first"], name="first"),
        helper.make_node("Reshape", ["reach", "flat_reach"], ["bounds"], name="bounds"),
        helper.make_node("Split", ["bounds"], ["lowest", "highest"], name="lowest_highest", axis=0),
        *parts["prelude"].node,
        helper.make_node("Scan", ["first", "rows", "kept"], ["found"], name="iterations", num_scan_inputs=2, body=body),
        *parts["conclude"].node,
    ]
    return _checked(nodes, [*shared.values(), *constants], horizon)


def _checked(nodes: list[onnx.NodeProto], initializers: list[onnx.TensorProto], horizon: int) -> onnx.ModelProto:
    """With the contract's names and shapes; I, S are free."""
    inputs = [
        _float("observation", [1, VECTOR_SIZE]),
        _float("motion", [1, 3]),
        _float("goal", [1, VECTOR_SIZE]),
        _float("radius_m", [1]),
        _float("offsets", ["I", "S", horizon, 2]),
        _float("keep", ["I", "S"]),
        _float("warm_start", [horizon, 2]),
        _float("temperature", []),
        _float("reach", [2, horizon, 2]),
    ]
    outputs = [_float("actions", [horizon, 2]), _float("cost", [1]), _float("confidence", [1])]
    graph = helper.make_graph(nodes, "planner", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model


def _float(name: str, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
