"""Bootstrap over patients, not images: images of one patient are correlated, and drawing them singly understates the error.

A draw is a count for each patient; means follow from sums over patients in one matrix product. Two runs measured on the same
draws are compared in pairs. Intervals from the samples: `experiments.statistics.intervals`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.statistics.arrays import Bools, Floats, Ints

_NUMBERS = 2**17
"""Weights of images handled at once, however many images there are: they fit into a cache."""


class PatientDraws:
    """`draws` resamples of the patients of N images with replacement; the same seed gives the same draws."""

    def __init__(self, patient: NDArray[Any], draws: int, seed: int) -> None:
        names, self._of = np.unique(np.asarray(patient, dtype=str), return_inverse=True)
        random = np.random.Generator(np.random.PCG64(seed))
        share = np.full(len(names), 1 / len(names))
        # One byte each: with fewer than 256 patients no count is larger, with more none is in practice.
        self.counts = np.empty((draws, len(names)), np.uint8)
        self._some = max(1, _NUMBERS // len(self._of))
        for part in self._parts():
            part[:] = random.multinomial(len(names), share, len(part))

    def ratio(self, numerator: NDArray[Any], denominator: NDArray[Any]) -> Floats:
        """Σ numerator / Σ denominator over the images (N,) of each draw; NaN where the denominator is 0."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.sums(numerator) / self.sums(denominator))

    def mean(self, values: NDArray[Any]) -> Floats:
        """Mean of (N,) values in each draw."""
        return self.ratio(values, np.ones(len(values)))

    def sums(self, values: NDArray[Any]) -> Floats:
        """Sums over the images of each draw: (B,) or (B, K)."""
        totals = self.by_patient(values)
        return np.concatenate([part.astype(np.float64) @ totals for part in self._parts()])

    def by_patient(self, values: NDArray[Any]) -> Floats:
        """Sums of (N, ...) values over each patient's images: (P, ...)."""
        values = np.asarray(values, np.float64)
        totals = np.zeros((self.counts.shape[1], *values.shape[1:]))
        np.add.at(totals, self._of, values)
        return totals

    def weights(self) -> Iterator[Floats]:
        """Weights of images (b, N), some draws at a time."""
        for part in self._parts():
            yield part.astype(np.float64)[:, self._of]

    def rank_measures(self, label: Bools, prob: Floats) -> dict[str, Floats]:
        """AUROC, average precision and sensitivity at 95 % specificity in each draw."""
        order = np.argsort(-prob, kind="stable")
        ends = np.flatnonzero(np.append(np.diff(prob[order]) != 0, True))  # last image of each tie
        parts = [_ranked(weight[:, order], label[order], ends) for weight in self.weights()]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def patients(self, inside: Bools | None = None) -> int:
        """Number of patients, or of those with an image in `inside` (N,)."""
        return self.counts.shape[1] if inside is None else len(np.unique(self._of[inside]))

    def _parts(self) -> Iterator[NDArray[np.uint8]]:
        """Counts of some draws at a time."""
        for start in range(0, len(self.counts), self._some):
            yield self.counts[start : start + self._some]


def _ranked(weight: Floats, label: Bools, ends: Ints) -> dict[str, Floats]:
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


def bin_of(prob: Floats, bins: int) -> Ints:
    """Which of `bins` equal-width bins of [0, 1] a probability falls into; 1 belongs to the last."""
    return np.minimum((prob * bins).astype(np.int64), bins - 1)
