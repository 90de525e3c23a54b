"""Static int8 quantisation of ONNX files, for ONNX Runtime or for OpenVINO; ensemble/runtimes/parity.py accepts or rejects them.

QDQ form: weights int8 with one scale per channel, activations uint8 with ranges measured on training images. The layers between
the first and the last one are quantised: they take the time. The others stay in float, since the rules depend on a map's faint
background.

ONNX Runtime multiplies integers only where a layer's output is quantised too. OpenVINO needs quantised inputs alone, and is
faster and closer to float32 without quantised outputs: docs/decisions/onnx-runtime.md.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.runtimes.onnx_runtime import Engine

LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operations with weights."""
QUANTISED = ["Conv"]


def quantise(source: Path, path: Path, batches: list[NDArray[np.uint8]], engine: Engine = "onnx") -> None:
    """Write the int8 form of an ONNX file for `engine`; activation ranges are measured on batches uint8 (B, 1, s, s)."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(batches)

        def get_next(self) -> Any:
            batch = next(self.left, None)
            return None if batch is None else {"image": batch}

    prepared = path.with_suffix(".pre.onnx")
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)  # it recommends pre-processing that has already been done
    try:
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        model = onnx.load(prepared)
        quantize_static(
            prepared, path, Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
            op_types_to_quantize=QUANTISED,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, nodes_to_exclude=outer(model),
            extra_options={"OpTypesToExcludeOutputQuantization": QUANTISED if engine == "openvino" else []},
        )  # fmt: skip
    finally:
        logging.getLogger().setLevel(level)
        prepared.unlink(missing_ok=True)


def outer(model: Any) -> list[str]:
    """Names of an onnx.ModelProto's nodes up to and including the first layers, and from the last ones on.

    They cost next to nothing and lose most in 8 bits: the first layer sees single grey levels, and thresholds of 1/256 are
    applied to the probabilities behind the last one (Krishnamoorthi 2018, arXiv:1806.08342, keeps them in float too).
    """
    nodes = list(model.graph.node)  # ordered so that inputs come first, as ONNX requires
    behind, before = _touched(nodes), _touched([_reversed(node) for node in reversed(nodes)])
    return [node.name for node in nodes if node.name not in behind or node.name not in before]


def _touched(nodes: list[Any]) -> set[str]:
    """Names of the nodes that have a layer among their ancestors."""
    tensors: set[str] = set()
    names: set[str] = set()
    for node in nodes:
        found = any(name in tensors for name in node.input)
        if found:
            names.add(node.name)
        if found or node.op_type in LAYERS:
            tensors.update(node.output)
    return names


def _reversed(node: Any) -> Any:
    """The node with inputs and outputs exchanged."""
    from onnx import NodeProto

    return NodeProto(name=node.name, op_type=node.op_type, input=node.output, output=node.input)
