"""A measure's value, and what each image contributes to its deviation from the truth (influence values).

Summed over the images of a patient, their squares add up to the variance over patients, and their products to the covariance of
two measures on the same patients: no resampling.
"""

from __future__ import annotations

import math

import numpy as np
from sklearn.metrics import roc_auc_score

from experiments.statistics.arrays import Bools, Floats


def mean_influence(values: Floats, inside: Bools) -> tuple[float, Floats]:
    """Mean of the values (N,) of the images `inside` (N,), and the influence of each image; NaN and zeros without any."""
    share = np.zeros(len(values))
    if not inside.any():
        return math.nan, share
    value = math.fsum(values[inside]) / int(inside.sum())
    share[inside] = (values[inside] - value) / inside.sum()
    return value, share


def auroc_influence(label: Bools, prob: Floats, inside: Bools) -> tuple[float, Floats]:
    """AUROC of the images `inside`, and the influence of each image (N,): DeLong's placement values, centred and divided by the
    number of images of their class (Obuchowski 1997); NaN and zeros for one class."""
    positive, negative = np.flatnonzero(inside & label), np.flatnonzero(inside & ~label)
    share = np.zeros(len(label))
    if not len(positive) or not len(negative):
        return math.nan, share
    value = float(roc_auc_score(label[inside], prob[inside]))
    low, high = np.sort(prob[negative]), np.sort(prob[positive])
    above = np.searchsorted(low, prob[positive], "left") + np.searchsorted(low, prob[positive], "right")
    below = np.searchsorted(high, prob[negative], "left") + np.searchsorted(high, prob[negative], "right")
    share[positive] = (above / (2 * len(low)) - value) / len(positive)
    share[negative] = (1 - below / (2 * len(high)) - value) / len(negative)
    return value, share
