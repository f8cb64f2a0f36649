"""Reduced precision for a bundle's planner graphs: `jepa-bridge export --precision int8`.

    reduce(Path("models/mine/planner.onnx"), "int8")

int8 quantises weights a column at a time and activations as they come, and only in the products of rollouts and
readout: the constant matrices that sum poses and costs would lose centimetres, and they are not where the time goes.

No shipped bundle is int8, though with `small` a plan takes a quarter less on a processor with VNNI (2.4 instead of 3.3
ms) and drives as well (499 of 500 goals in cluttered either way, `eval --seed 21`). What it says is then no longer the
reference to 1e-4, and on processors without such products, where 8-bit sums saturate, nobody has measured it.

fp16 and bf16 are not offered. onnxruntime's CPU provider has products for them on some ARM processors only; elsewhere
it casts to fp32 and back, and a rollout takes a tenth longer (measured on an AMD EPYC, onnxruntime 1.32).
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

if TYPE_CHECKING:
    from collections.abc import Iterator

PRECISIONS = ("fp32", "int8")
LEARNED = ("/imagine/", "/cost/")  # the parts of planner_graph.py whose weights were trained


def reduce(path: Path, precision: str) -> None:
    """Rewrite a planner graph in another precision; its inputs and outputs stay as they are."""
    if precision not in PRECISIONS:
        raise ValueError(f"expected a precision of {', '.join(PRECISIONS)}, got {precision!r}")
    if precision == "fp32":
        return
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415  # half a second

    products = [
        node.name
        for node in _nodes(onnx.load(str(path)).graph)
        if node.op_type in ("Gemm", "MatMul") and any(part in node.name for part in LEARNED)
    ]
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it warns of what it leaves alone, as asked
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".precision-") as scratch:
            reduced = Path(scratch) / path.name
            quantize_dynamic(
                path,
                reduced,
                weight_type=QuantType.QInt8,
                per_channel=True,
                # a Gemm is first made a product and a sum, under this name
                nodes_to_quantize=[name + suffix for name in products for suffix in ("", "_MatMul")],
                extra_options={"EnableSubgraph": True, "MatMulConstBOnly": True},
            )
            reduced.replace(path)
    finally:
        root.setLevel(level)


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """All of them, those of the scan's body too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _nodes(attribute.g)
