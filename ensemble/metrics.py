"""The measures, said once: per image first, then the mean; never over a batch or over pooled pixels.

Arrays of N images: `dice` float in [0, 1], `label` bool (there is a pneumothorax), `prob` float in [0, 1],
`weight` float."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.statistics.bootstrap import bin_of

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def kaggle_dice(predicted: NDArray[Any], truth: NDArray[Any]) -> float:
    """Dice of one image's masks (H, W), non-zero = inside: 2|A∩B| / (|A|+|B|); both empty 1, one empty 0.

    SIIM-ACR Pneumothorax Segmentation, Kaggle 2019, evaluation page.
    """
    if predicted.shape != truth.shape:
        raise ValueError(
            f"masks of one image have one size; the prediction is {predicted.shape}, the truth {truth.shape}"
        )
    a, b = predicted != 0, truth != 0
    return dice_of_counts(*(int(np.count_nonzero(mask)) for mask in (a & b, a, b)))


def dice_of_counts(both: int, predicted: int, truth: int) -> float:
    """Dice from pixel counts: in both masks, in the predicted one, in the true one."""
    return 2 * both / (predicted + truth) if predicted or truth else 1.0


def iou_of_dice(dice: Floats) -> Floats:
    """Intersection over union of one image from its Dice: D / (2 − D)."""
    return np.asarray(dice / (2.0 - dice))


@dataclass(frozen=True)
class Breakdown:
    """The competition's score and what it is made of: score = (1−π)·TNR + π·D⁺.

    `prevalence` π; `tnr` the share of empty images left empty; `dice_positive` D⁺ the mean Dice of the
    positive images; `all_empty` = 1−π, what submitting nothing earns. NaN where there is no such image."""

    score: float
    prevalence: float
    tnr: float
    dice_positive: float
    all_empty: float
    images: int
    positives: int


def breakdown(dice: Floats, label: Bools) -> Breakdown:
    """Take the score apart; sums are exact (`fsum`), so that a perfect submission scores 1 and not
    0.9999…."""
    n, positives = len(dice), int(np.count_nonzero(label))
    if n == 0:
        raise ValueError("no images to score")
    negatives = n - positives
    on_positive, on_negative = math.fsum(dice[label]), math.fsum(dice[~label])
    return Breakdown(
        score=math.fsum(dice) / n,
        prevalence=positives / n,
        tnr=on_negative / negatives if negatives else math.nan,
        dice_positive=on_positive / positives if positives else math.nan,
        all_empty=negatives / n,
        images=n,
        positives=positives,
    )


def auroc(label: Bools, prob: Floats) -> float:
    """Area under the ROC curve: how often a positive image ranks above an empty one, ties counting half;
    NaN for one class."""
    fpr, tpr, _ = roc(label, prob)
    return float(np.trapezoid(tpr, fpr))


def roc(label: Bools, prob: Floats) -> tuple[Floats, Floats, Floats]:
    """Points of the ROC curve from the strictest threshold on: false-positive rate, sensitivity, threshold
    (prob >= t).

    The first point is (0, 0) with threshold +inf; tied probabilities make one step.
    """
    threshold, positive, negative = _steps(label, prob)
    with np.errstate(invalid="ignore", divide="ignore"):
        fpr, tpr = np.cumsum(negative) / negative.sum(), np.cumsum(positive) / positive.sum()
    return np.append(0.0, fpr), np.append(0.0, tpr), np.append(np.inf, threshold)


def precision_recall(label: Bools, prob: Floats) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and threshold (prob >= t) from the strictest threshold on."""
    threshold, positive, negative = _steps(label, prob)
    hits, submitted = np.cumsum(positive), np.cumsum(positive + negative)
    with np.errstate(invalid="ignore", divide="ignore"):
        return hits / submitted, hits / positive.sum(), threshold


def average_precision(label: Bools, prob: Floats) -> float:
    """Step-wise area under the precision-recall curve: Σ (R_k − R_{k−1})·P_k; NaN without positives."""
    precision, recall, _ = precision_recall(label, prob)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def sensitivity_at_specificity(label: Bools, prob: Floats, specificity: float = 0.95) -> float:
    """Highest sensitivity among thresholds whose specificity is at least the given one; NaN for one class."""
    fpr, tpr, _ = roc(label, prob)
    if np.isnan(fpr[-1]) or np.isnan(tpr[-1]):
        return math.nan
    return float(tpr[fpr <= 1.0 - specificity + 1e-12].max())


def brier(label: Bools, prob: Floats) -> float:
    """Mean squared distance of probability and outcome."""
    return float(np.mean((prob - label) ** 2))


def log_loss(label: NDArray[Any], prob: Floats) -> float:
    """Mean negative log-likelihood; probabilities are kept 1e-6 from 0 and 1, so that one certain error is
    not infinite."""
    p = np.clip(prob, 1e-6, 1 - 1e-6)
    return float(-np.mean(label * np.log(p) + (1 - label) * np.log1p(-p)))


def reliability(label: Bools, prob: Floats, bins: int = 15) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """For each equal-width bin: mean probability, share of positives (both NaN if empty), and number of
    images."""
    place = bin_of(prob, bins)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, prob, bins) / count
        observed = np.bincount(place, label.astype(float), bins) / count
    return mean, observed, count


def expected_calibration_error(label: Bools, prob: Floats, bins: int = 15) -> float:
    """Mean distance between said and seen frequency over equal-width bins, weighted by images (Guo et al.
    2017, eq. 3)."""
    mean, observed, count = reliability(label, prob, bins)
    used = count > 0
    return float(np.sum(np.abs(mean[used] - observed[used]) * count[used]) / count.sum())


def _steps(label: Bools, prob: Floats) -> tuple[Floats, Floats, Floats]:
    """Distinct probabilities from high to low, and how many positive and empty images stand at each."""
    threshold, place = np.unique(-prob, return_inverse=True)
    total = np.bincount(place, minlength=len(threshold)).astype(np.float64)
    positive = np.bincount(place[label], minlength=len(threshold)).astype(np.float64)
    return -threshold, positive, total - positive
