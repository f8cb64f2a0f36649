"""A torch module -> ONNX, for every graph of a bundle alike.

Through the TorchScript exporter: it needs nothing but torch and onnx, and weights come with the graph.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

IR_VERSION = 8  # with the opset old enough for every onnxruntime that the bridge accepts
OPSET = 17  # LayerNormalization is an operator of its own from here on; onnxruntime-web knows it too


def to_onnx(
    module: nn.Module,
    arguments: Sequence[Tensor],
    inputs: Sequence[str],
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]] | None = None,
) -> bytes:
    """The model file's content; `axes` are the free ones of inputs and outputs, by number and name."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a newer exporter exists; it needs onnxscript
        torch.onnx.export(
            module,
            tuple(arguments),
            buffer,  # type: ignore[arg-type]  # a file is a file
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    return buffer.getvalue()
