"""A peer that sees no anatomy: logistic regression on an image's brightness, contrast and sharpness.

Who has a pneumothorax is not radiographed as others are (standing or in bed, after a drain, in deep inspiration), so these three
numbers alone rank studies. An AUROC near this peer's is no evidence that a network sees air.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.field_trial.cohorts import REAL
from benchmarks.field_trial.recipes import Outputs
from imaging.prepared import Prepared

SIGMA = 1.5
"""Of the blur, in pixels, to which an image is compared for its sharpness."""
MAP_SIDE = 32
"""Of its empty maps."""


def features(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean, standard deviation, and mean distance from the blurred image, (N, 3), of images (N, s, s)."""
    found = []
    for image in images:
        grey = np.asarray(image, np.float32)
        found.append((grey.mean(), grey.std(), np.abs(grey - cv2.GaussianBlur(grey, (0, 0), SIGMA)).mean()))
    return np.array(found, np.float64).reshape(-1, 3)


def fit(prepared: Prepared, rows: NDArray[np.int64]) -> object:
    """The regression on some rows: of the real ones alone, where there are any, since painted lesions change no exposure."""
    real = rows[(prepared.index["source"].to_numpy(object)[rows] == REAL)]
    chosen = real if len(real) else rows
    label = prepared.index["label"].to_numpy(float)[chosen] == 1
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(features(prepared.images[chosen]), label)


def predict(model: object, prepared: Prepared, rows: NDArray[np.int64]) -> Outputs:
    """The probability of some rows, and empty maps."""
    prob = model.predict_proba(features(prepared.images[rows]))[:, 1]  # type: ignore[attr-defined]
    return Outputs(prob, np.zeros((len(rows), MAP_SIDE, MAP_SIDE), np.uint8))
