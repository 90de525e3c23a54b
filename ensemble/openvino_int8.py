"""Networks in 8-bit whole numbers for OpenVINO, by NNCF; ensemble/acceptance.py says whether they are kept.

The result is an ONNX file like its source, with scales beside nearly all operations between the first and the last layers. Those
OpenVINO runs in whole numbers. NNCF's fast bias correction (Nagel 2019, arXiv:1906.04721, section 4.2) is off: it moved the
embedded default's probabilities by up to .10; without it they move by .02 to .06 (`benchmarks/int8.py`)."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ensemble.onnx_graph import outer
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
    choices = nncf.AdvancedQuantizationParameters(
        activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX, disable_bias_correction=True
    )
    model = onnx.load(source)
    floats = nncf.IgnoredScope(names=outer(model), validate=False)
    made = nncf.quantize(
        model,
        nncf.Dataset(singles),
        subset_size=len(singles),
        ignored_scope=floats,
        advanced_parameters=choices,
    )
    onnx.save(made, path)
