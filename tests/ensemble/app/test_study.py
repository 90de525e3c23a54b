"""What the page displays of a file under a decision without masks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from ensemble.app import study
from ensemble.decision.decision import Decision
from ensemble.evidence.calibration import Sigmoid
from ensemble.evidence.mask_average import MaskEnsemble
from ensemble.evidence.probability import Calibrated
from ensemble.rules.gate import Gate
from imaging.formats import reader


@pytest.mark.parametrize("prob", [0.2, 0.9], ids=["below the gate", "above"])
def test_a_bundle_without_masks_has_a_probability_and_an_empty_map(tmp_path: Path, prob: float) -> None:
    path = tmp_path / "upload"
    path.write_bytes(cv2.imencode(".png", np.full((20, 30), 80, np.uint8))[1].tobytes())
    same = Sigmoid(kind="none", slope=1.0, intercept=0.0)
    decision = Decision(
        classifiers={"c": 1.0},
        masks=MaskEnsemble(weights={}),
        probability=Calibrated(calibrator=same),
        calibrator=same,
        rule=Gate(cut=0.5, level=128),
        fitted={},
    )
    outputs = study.Outputs({"c": [prob, prob]}, {})
    found = study.read(decision, path, reader.read(path).facts, outputs, "")
    assert found["prob"] == pytest.approx(prob, abs=1e-3)
    assert found["finding"]["area_px"] == found["region"]["area_px"] == 0
    assert study.NO_MASKS in found["notes"]
    assert found["no_object"] == study.NO_MASKS
