"""Operating points: thresholds on the calibrated probability, fixed on out-of-fold predictions and applied unchanged elsewhere.

An image is flagged when its probability reaches the threshold. Thresholds lie half-way between two observed probabilities, so
that rounding on another machine does not move an image across.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field
from sklearn.metrics import roc_curve

from experiments.settings.decision import OperatingPointSettings
from experiments.statistics.arrays import Bools, Floats
from imaging.io.config import Settings

RULE = "rule"
"""The point of the fitted rule: an image is flagged when it gets a mask."""
STANDARD = (
    OperatingPointSettings(name="95 % specificity", specificity=0.95),
    OperatingPointSettings(name="95 % sensitivity", sensitivity=0.95),
)


class OperatingPoint(Settings):
    """One operating point with its out-of-fold sensitivity and specificity."""

    name: str
    """Name in reports and on the web page."""
    threshold: float | None = Field(ge=0, le=1)
    """Flag an image whose probability is at least this; None: flag an image that gets a mask (the fitted rule)."""
    sensitivity: float = Field(ge=0, le=1)
    """Share of the positive out-of-fold images that are flagged."""
    specificity: float = Field(ge=0, le=1)
    """Share of the negative out-of-fold images that are not flagged."""

    def flagged(self, prob: Floats, submitted: Bools) -> Bools:
        """Which images (N,) are flagged, from their probabilities (N,) and whether they get a mask (N,)."""
        return submitted if self.threshold is None else prob >= self.threshold


def fit(
    label: Bools, prob: Floats, submitted: Bools, own: Sequence[OperatingPointSettings] = ()
) -> list[OperatingPoint]:
    """The fitted rule's point, 95 % specificity, 95 % sensitivity, then the user's own, from nested predictions (N,)."""
    points = [_point(RULE, None, label, submitted)]
    for wanted in (*STANDARD, *own):
        threshold = threshold_for(wanted, label, prob)
        points.append(_point(wanted.name, threshold, label, prob >= threshold))
    return points


def threshold_for(wanted: OperatingPointSettings, label: Bools, prob: Floats) -> float:
    """The threshold that reaches the requested value and gives the highest other measure."""
    if wanted.threshold is not None:
        return wanted.threshold
    fpr, tpr, value = roc_curve(label, prob, drop_intermediate=False)
    if wanted.specificity is not None:
        place = int(np.flatnonzero(1 - fpr >= wanted.specificity - 1e-12)[-1])
    else:
        place = int(np.flatnonzero(tpr >= (wanted.sensitivity or 0.0) - 1e-12)[0])
    above = min(float(value[place]), 1.0)
    below = float(value[place + 1]) if place + 1 < len(value) else 0.0
    return (above + below) / 2


def _point(name: str, threshold: float | None, label: Bools, flagged: Bools) -> OperatingPoint:
    sensitivity, specificity = float(flagged[label].mean()), float((~flagged[~label]).mean())
    return OperatingPoint(name=name, threshold=threshold, sensitivity=sensitivity, specificity=specificity)
