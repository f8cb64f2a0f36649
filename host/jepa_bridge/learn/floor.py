"""The least time that a plan's arithmetic can take: its matrix products alone, through the fastest library at hand.

products = plan_products(Path("models/small"), MppiConfig())
floor = measure_floor(products, threads=1)
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from jepa_bridge.learn.tracing import IR_VERSION, OPSET

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jepa_bridge.plan.mppi import MppiConfig

REPEATS = 40  # products in one call, so that the call itself costs next to nothing
ROUNDS = 15


@dataclass(frozen=True, slots=True)
class Product:
    """[rows, inner] x [inner, columns], `count` times a plan."""

    rows: int
    inner: int
    columns: int
    count: int = 1

    @property
    def gflop(self) -> float:
        """Of all of them: a multiplication and an addition each."""
        return 2e-9 * self.rows * self.inner * self.columns * self.count


@dataclass(frozen=True, slots=True)
class Floor:
    """What one plan's products take on this machine, each shape through whichever library does it faster."""

    ms: float
    gflop: float
    onnxruntime_gflops: float  # GFLOP/s of all products through the one, and through the other
    torch_gflops: float

    @property
    def gflops(self) -> float:
        """GFLOP/s."""
        return self.gflop / self.ms * 1e3

    def to_json(self) -> dict[str, float]:
        """Plain values only."""
        return {name: round(getattr(self, name), 4) for name in (*Floor.__slots__, "gflops")}


def plan_products(bundle: Path, config: MppiConfig, *, readout: bool = True) -> list[Product]:
    """All products of one plan: two observations encoded, S rollouts an iteration and one at the end, each read out.

    Counted from the bundle's graphs, so they are what any planner on this model must do. The contract's cost needs no
    `readout`.
    """
    samples, horizon, iterations = config.samples, config.horizon, config.iterations
    found = [Product(2, *shape) for shape in weight_shapes(bundle / "encoder.onnx")]
    for shape in weight_shapes(bundle / "predictor.onnx"):
        found += [Product(samples, *shape, iterations * horizon), Product(1, *shape, horizon)]
    for shape in weight_shapes(bundle / "readout.onnx") if readout else ():
        found += [Product(samples * horizon, *shape, iterations), Product(horizon, *shape)]
    return found


def weight_shapes(path: Path) -> list[tuple[int, int]]:
    """(inner, columns) of each product of a batch with weights in a graph."""
    graph = onnx.load(str(path)).graph
    weights = {item.name: tuple(item.dims) for item in graph.initializer if len(item.dims) == 2}
    shapes = []
    for node in graph.node:
        if node.op_type not in ("Gemm", "MatMul") or node.input[1] not in weights:
            continue
        inner, columns = weights[node.input[1]]
        transposed = any(item.name == "transB" and item.i for item in node.attribute)
        shapes.append((columns, inner) if transposed else (inner, columns))
    return shapes


def gflop(products: list[Product]) -> float:
    """Of a whole plan."""
    return sum(product.gflop for product in products)


def measure_floor(products: list[Product], threads: int) -> Floor:
    """Time every shape through onnxruntime's and torch's products; the best round counts."""
    each = [(product, _onnxruntime_s(product, threads), _torch_s(product, threads)) for product in products]
    total = gflop(products)
    return Floor(
        ms=1e3 * sum(product.count * min(ort_s, torch_s) for product, ort_s, torch_s in each),
        gflop=total,
        onnxruntime_gflops=total / sum(product.count * ort_s for product, ort_s, _ in each),
        torch_gflops=total / sum(product.count * torch_s for product, _, torch_s in each),
    )


def _onnxruntime_s(product: Product, threads: int) -> float:
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((product.inner, product.columns), np.float32)
    nodes = [helper.make_node("MatMul", ("x", "w"), (f"y{number}",)) for number in range(REPEATS)]
    graph = helper.make_graph(
        nodes,
        "products",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (product.rows, product.inner))],
        [helper.make_tensor_value_info(f"y{REPEATS - 1}", TensorProto.FLOAT, (product.rows, product.columns))],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # all are alike: the optimiser would make one of them
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed: dict[str, Any] = {"x": rng.standard_normal((product.rows, product.inner), np.float32)}
    return _best_s(lambda: session.run(None, feed)) / REPEATS


def _torch_s(product: Product, threads: int) -> float:
    torch.set_num_threads(threads)
    left, right = torch.randn(product.rows, product.inner), torch.randn(product.inner, product.columns)
    out = torch.empty(product.rows, product.columns)

    def work() -> None:
        for _ in range(REPEATS):
            torch.mm(left, right, out=out)

    return _best_s(work) / REPEATS


def _best_s(work: Callable[[], object]) -> float:
    work()
    best_s = float("inf")
    for _ in range(ROUNDS):
        began_s = time.perf_counter()
        work()
        best_s = min(best_s, time.perf_counter() - began_s)
    return best_s
