"""How well exposure alone ranks images: logistic regression on brightness, contrast and sharpness, which sees no anatomy.

Patients with a pneumothorax are radiographed differently (standing or in bed, after a drain, in deep inspiration), so these three
numbers alone reveal something about the label. A network whose AUROC is no higher has not been shown to see the finding.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from imaging.resize import resize_image

SIDE = 256
"""Larger images are reduced to this size first."""
SIGMA = 1.5
"""Standard deviation, in pixels, of the blur with which an image is compared to measure its sharpness."""


def features(images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Mean, standard deviation, and mean distance from the blurred image, in grey levels, (N, 3), of uint8 images."""
    found = []
    for image in images:
        grey = np.asarray(resize_image(image, SIDE) if max(image.shape) > SIDE else image, np.float32)
        found.append((grey.mean(), grey.std(), np.abs(grey - cv2.GaussianBlur(grey, (0, 0), SIGMA)).mean()))
    return np.array(found, np.float64).reshape(-1, 3)


def probability(
    known: NDArray[np.float64], label: NDArray[np.bool_], asked: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Probability (M,) of the label for the features `asked` (M, 3), fitted to `known` (N, 3) with labels (N,).

    The prevalence where all labels are equal."""
    if label.all() or not label.any() or not len(asked):
        return np.full(len(asked), label.mean() if len(label) else 0.5)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(known, label)
    return np.asarray(model.predict_proba(asked)[:, 1], np.float64)
