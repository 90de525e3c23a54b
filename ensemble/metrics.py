"""Measures of N images: computed per image first, then averaged; never over a batch or over pooled pixels.

Arrays of N images: `dice` float in [0, 1], `label` bool (there is a pneumothorax), `prob` float in [0, 1],
`weight` float."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from experiments.statistics.arrays import Bools, Floats, Ints
from experiments.statistics.bootstrap import bin_of


def kaggle_dice(predicted: NDArray[Any], truth: NDArray[Any]) -> float:
    """Dice of one image's masks (H, W), non-zero = inside: 2|A∩B| / (|A|+|B|); both empty 1, one empty 0.

    SIIM-ACR Pneumothorax Segmentation, Kaggle 2019, evaluation page.
    """
    if predicted.shape != truth.shape:
        raise ValueError(
            f"the masks of one image must have the same size; the prediction is {predicted.shape}, the truth {truth.shape}"
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
    """The competition's score and its parts: score = (1−π)·TNR + π·D⁺.

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
    """Decompose the score; sums are exact (`fsum`), so that a perfect submission scores 1 and not
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
    """Area under the ROC curve: how often a positive image ranks above a negative one, ties counting half; NaN for one class."""
    return float(roc_auc_score(label, prob)) if _both_kinds(label) else math.nan


def roc(label: Bools, prob: Floats) -> tuple[Floats, Floats, Floats]:
    """ROC curve from the strictest threshold on: false-positive rate, sensitivity, threshold (prob >= t).

    The first point is (0, 0) with threshold +inf; tied probabilities make one step. NaN rates for one class.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        fpr, tpr, threshold = roc_curve(label, prob, drop_intermediate=False)
    return fpr, tpr, threshold


def precision_recall(label: Bools, prob: Floats) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and threshold (prob >= t) from the strictest threshold on; NaN recall without positives."""
    if not label.any():
        threshold = np.unique(prob)[::-1]
        return np.zeros(len(threshold)), np.full(len(threshold), np.nan), threshold
    precision, recall, threshold = precision_recall_curve(label, prob)
    return precision[-2::-1], recall[-2::-1], threshold[::-1]


def average_precision(label: Bools, prob: Floats) -> float:
    """Step-wise area under the precision-recall curve: Σ (R_k − R_{k−1})·P_k; NaN without positives."""
    return float(average_precision_score(label, prob)) if label.any() else math.nan


def sensitivity_at_specificity(label: Bools, prob: Floats, specificity: float = 0.95) -> float:
    """Highest sensitivity among thresholds whose specificity is at least the given one; NaN for one class."""
    if not _both_kinds(label):
        return math.nan
    fpr, tpr, _ = roc(label, prob)
    return float(tpr[fpr <= 1.0 - specificity + 1e-12].max())


def _both_kinds(label: Bools) -> bool:
    return bool(label.any() and not label.all())


def brier(label: Bools, prob: Floats) -> float:
    """Mean squared difference of probability and outcome."""
    return float(brier_score_loss(label, prob, pos_label=True))


def log_loss(label: NDArray[Any], prob: Floats) -> float:
    """Mean negative log-likelihood; probabilities are kept 1e-6 from 0 and 1, so that one confident error is not infinite."""
    p = np.clip(prob, 1e-6, 1 - 1e-6)
    return float(-np.mean(label * np.log(p) + (1 - label) * np.log1p(-p)))


def reliability(label: Bools, prob: Floats, bins: int = 15) -> tuple[Floats, Floats, Ints]:
    """For each equal-width bin: mean probability, share of positives (both NaN if empty), and number of
    images."""
    place = bin_of(prob, bins)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, prob, bins) / count
        observed = np.bincount(place, label.astype(float), bins) / count
    return mean, observed, count


def expected_calibration_error(label: Bools, prob: Floats, bins: int = 15) -> float:
    """Mean distance between predicted and observed frequency over equal-width bins, weighted by images (Guo et al.
    2017, eq. 3)."""
    mean, observed, count = reliability(label, prob, bins)
    used = count > 0
    return float(np.sum(np.abs(mean[used] - observed[used]) * count[used]) / count.sum())
