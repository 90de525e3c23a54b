"""Networks in 8-bit whole numbers, for ONNX Runtime and OpenVINO; ensemble/acceptance.py says whether they are kept.

Static quantisation in ONNX's QDQ form: weights int8, one scale a channel; activations uint8, their ranges measured on
training images. Convolutions between the first and the last one alone are quantised: they take the time, and a map's faint
background, which the rules look at, keeps its floats. OpenVINO reads the same files: docs/decisions/onnx-runtime.md."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.onnx_graph import outer


def quantise(source: Path, path: Path, batches: list[NDArray[np.uint8]]) -> None:
    """Write the int8 form of an ONNX file, its scales measured on batches uint8 (B, 1, s, s)."""
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
    logging.getLogger().setLevel(logging.ERROR)  # the tool advises the preparation that has just been made
    try:
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared, path, Reader(), quant_format=QuantFormat.QDQ, op_types_to_quantize=["Conv"], per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            nodes_to_exclude=outer(onnx.load(prepared)),
        )  # fmt: skip
    finally:
        logging.getLogger().setLevel(level)
        prepared.unlink(missing_ok=True)
