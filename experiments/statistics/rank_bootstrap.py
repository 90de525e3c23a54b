"""Intervals of what depends on ranks and bins, by drawing patients: see experiments.statistics.bootstrap.

Rank measures come from weighted cumulative sums along the one sorted order, for all draws at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ensemble.metrics import bin_of
from experiments.statistics import bootstrap
from experiments.statistics.bootstrap import Floats

Bools = NDArray[np.bool_]


class PatientDraws(bootstrap.PatientDraws):
    """Draws of patients that also measure rankings and calibration."""

    def rank_measures(self, label: Bools, prob: Floats) -> dict[str, Floats]:
        """AUROC, average precision and sensitivity at 95 % specificity in each draw."""
        order = np.argsort(-prob, kind="stable")
        ends = np.flatnonzero(np.append(np.diff(prob[order]) != 0, True))  # last image of each tie
        parts = [_ranked(weight[:, order], label[order], ends) for weight in self.weights()]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def calibration_error(self, label: Bools, prob: Floats, bins: int) -> Floats:
        """Expected calibration error in each draw."""
        inside = bin_of(prob, bins)[:, None] == np.arange(bins)
        gap = (prob - label)[:, None] * inside
        total = self.sums(np.ones(len(prob)))
        return np.asarray(np.abs(self.sums(gap)).sum(axis=1) / total)


def _ranked(weight: Floats, label: Bools, ends: NDArray[np.int64]) -> dict[str, Floats]:
    """Rank measures from weights (b, N) of images sorted by falling probability; `ends` closes each tie."""
    hits = np.cumsum(weight * label, axis=1)[:, ends]
    alarms = np.cumsum(weight * ~label, axis=1)[:, ends]
    with np.errstate(invalid="ignore", divide="ignore"):
        tpr, fpr = hits / hits[:, -1:], alarms / alarms[:, -1:]
        precision = np.nan_to_num(hits / (hits + alarms))
    before = np.pad(tpr, ((0, 0), (1, 0)))
    step = np.diff(np.pad(fpr, ((0, 0), (1, 0))), axis=1)
    allowed = np.where(fpr <= 0.05 + 1e-12, tpr, 0.0).max(axis=1)
    return {
        "auroc": (step * (before[:, 1:] + before[:, :-1]) / 2).sum(axis=1),
        "average_precision": (np.diff(before, axis=1) * precision).sum(axis=1),
        "sensitivity_at_95_specificity": np.where(
            np.isnan(fpr[:, -1]) | np.isnan(tpr[:, -1]), np.nan, allowed
        ),
    }
