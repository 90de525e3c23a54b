"""Networks exported once for the tests of each runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ensemble import onnx_export
from ensemble.inference.bundle import Bundle
from ensemble.inference.predictor import Predictor

SIDE = 64
SQUARES = list(np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE), dtype=np.uint8))


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path) -> Predictor:
    """A classifier with a localising head and a plain U-Net, both with test-time flips."""
    return Bundle.load(tiny_bundle).predictor()


@pytest.fixture(scope="module")
def exported(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle's networks as ONNX files."""
    folder = tmp_path_factory.mktemp("onnx") / "onnx"
    onnx_export.export(tiny_bundle, folder)
    return folder
