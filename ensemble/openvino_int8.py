"""Networks in 8-bit whole numbers for OpenVINO, by NNCF; ensemble/acceptance.py says whether they are kept.

The result is an ONNX file like its source, with scales beside nearly all operations and the biases corrected for what rounding
does to the means (Nagel 2019, arXiv:1906.04721, section 4.2). OpenVINO runs it in whole numbers from end to end."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ensemble.openvino_engine import without_telemetry


def quantise(source: Path, path: Path, batches: list[NDArray[np.uint8]]) -> None:
    """Write the int8 form of an ONNX file, its scales measured on batches uint8 (B, 1, s, s)."""
    import onnx

    without_telemetry()
    import nncf
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    nncf.set_log_level(logging.ERROR)
    singles = [{"image": image[None]} for batch in batches for image in batch]
    # NNCF's own choice, the mean of the images' ranges, cuts off what only the few positive ones reach: the findings.
    ranges = nncf.AdvancedQuantizationParameters(
        activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX
    )
    made = nncf.quantize(
        onnx.load(source), nncf.Dataset(singles), subset_size=len(singles), advanced_parameters=ranges
    )
    onnx.save(made, path)
