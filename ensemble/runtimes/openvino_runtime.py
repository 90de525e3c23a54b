"""OpenVINO as a runtime: it reads the same ONNX files and is faster on Intel processors, above all in bf16 and int8.

OpenVINO sends usage data to Google Analytics when it is imported, without asking. Here it never does: the package that sends them
is kept out, for which OpenVINO has a stub.
"""

from __future__ import annotations

import sys
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.io.threads import cores

HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""Precision of the layers that the file has in float32; in int8 files, of the unquantised ones."""


def without_telemetry() -> None:
    """Call before openvino is imported: its import of the sender then fails, and it continues with its stub."""
    if "openvino" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]


@cache
def core() -> Any:
    """OpenVINO's single Core object of the whole process, never closed.

    Its CPU plugin gives the thread that opens it another stack for signal handlers, and the former one back when it closes. Of
    two that close in the order in which they were opened, the second gives back the first one's, whose memory is gone: the
    next signal, such as that of a child process' end, ends this process (OpenVINO 2026.4).
    """
    without_telemetry()
    try:
        import openvino  # an extra: the rest of the project works without it
    except ModuleNotFoundError as error:
        raise ValueError("OpenVINO is not installed: pip install '.[openvino]'") from error

    return openvino.Core()


class Session:
    """One network, with the part of onnxruntime.InferenceSession's interface that is used here. Thread-safe.

    All threads work on a single image together; of several images each thread takes one at a time, which saves waiting for each
    other in every layer. Each of the two is compiled when first needed.
    """

    def __init__(self, path: Path | str, precision: str = "fp32", threads: int | None = None) -> None:
        self._model = core().read_model(str(path))
        self._threads = threads or cores()
        self._settings = {
            "INFERENCE_NUM_THREADS": self._threads,
            "INFERENCE_PRECISION_HINT": HINTS[precision],
        }

    def run(self, _outputs: None, inputs: dict[str, NDArray[np.uint8]]) -> list[Any]:
        """Outputs for inputs by name."""
        ((name, images),) = inputs.items()
        if len(images) == 1 or self._threads == 1:
            return [self._together.create_infer_request().infer(inputs)[0]]
        return [np.concatenate(self._apart(name, images))]

    def _apart(self, name: str, images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        from openvino import AsyncInferQueue

        found: dict[int, NDArray[np.float32]] = {}
        queue = AsyncInferQueue(self._streams, min(self._threads, len(images)))
        queue.set_callback(
            lambda request, place: found.update({place: request.get_output_tensor(0).data.copy()})
        )
        for place in range(len(images)):
            queue.start_async({name: images[place : place + 1]}, place)
        queue.wait_all()
        return [found[place] for place in range(len(images))]

    @cached_property
    def _together(self) -> Any:
        return self._compiled({"PERFORMANCE_HINT": "LATENCY"})

    @cached_property
    def _streams(self) -> Any:
        return self._compiled({"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": self._threads})

    def _compiled(self, settings: dict[str, Any]) -> Any:
        return core().compile_model(self._model, "CPU", {**self._settings, **settings})


def has_bf16() -> bool:
    """Whether OpenVINO multiplies bf16 natively on this processor."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
