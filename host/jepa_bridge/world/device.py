"""Where a graph runs. The same device gives the same bits, so a recording says which one planned."""

from __future__ import annotations

from dataclasses import dataclass

CPU = "CPUExecutionProvider"
# TensorRT compiles for the very machine, CUDA does not
FASTER_PROVIDERS = ("TensorrtExecutionProvider", "CUDAExecutionProvider")


@dataclass(frozen=True, slots=True)
class Device:
    """An execution provider of onnxruntime, and the CPU threads that share one graph."""

    provider: str = CPU
    threads: int = 1

    def __str__(self) -> str:
        return f"{self.provider.removesuffix('ExecutionProvider')}, {self.threads} thread(s)"


ONE_THREAD = Device()
