"""Calibration measures with intervals over patients: slope, observed/expected, Brier score, log loss.

Van Calster et al. 2019, *Calibration: the Achilles heel of predictive analytics*.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from ensemble import metrics
from ensemble.evidence.features import logit
from experiments.statistics import intervals
from experiments.statistics.arrays import Bools, Floats
from experiments.statistics.bootstrap import PatientDraws


def calibration_slope(label: Bools, prob: Floats, patient: NDArray[Any]) -> tuple[float, float]:
    """Slope of the outcome's logistic regression on logit(prob), 1 when calibrated, and its standard error over patients.

    Below 1: probabilities are too extreme. The error is the cluster-robust one (Liang & Zeger 1986). NaN for one class, for
    constant probabilities and for separated classes.
    """
    x = logit(prob)
    if label.all() or not label.any() or np.ptp(x) == 0:
        return math.nan, math.nan
    if x[label].min() >= x[~label].max() or x[label].max() <= x[~label].min():
        return math.nan, math.nan
    line = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(x[:, None], label)
    slope, intercept = float(line.coef_[0, 0]), float(line.intercept_[0])
    design, fitted = np.column_stack([np.ones(len(x)), x]), expit(intercept + slope * x)
    bread = np.linalg.pinv((design * (fitted * (1 - fitted))[:, None]).T @ design)
    names, of = np.unique(np.asarray(patient, dtype=str), return_inverse=True)
    scores = np.zeros((len(names), 2))
    np.add.at(scores, of, design * (label - fitted)[:, None])
    variance = bread @ (scores.T @ scores) @ bread * len(names) / max(len(names) - 1, 1)
    return slope, math.sqrt(max(float(variance[1, 1]), 0.0))


def observed_expected(label: Bools, prob: Floats) -> float:
    """Calibration in the large: observed over expected number of positive images; above 1, probabilities are too low."""
    expected = float(prob.sum())
    return float(label.sum()) / expected if expected > 0 else math.nan


def measure(
    label: Bools, prob: Floats, patient: NDArray[Any], draws: PatientDraws
) -> dict[str, tuple[float, float, float]]:
    """(value, low, high) of each calibration measure by name."""
    count, distance = draws.patients(), (prob - label) ** 2
    clipped = np.clip(prob, 1e-6, 1 - 1e-6)
    loss = -np.where(label, np.log(clipped), np.log1p(-clipped))
    slope, slope_error = calibration_slope(label, prob, patient)
    ratio, brier, mean_loss = observed_expected(label, prob), metrics.brier(label, prob), float(loss.mean())
    error = {
        "ratio": intervals.standard_error(draws.ratio(label, prob), count),
        "brier": intervals.standard_error(draws.mean(distance), count),
        "loss": intervals.standard_error(draws.mean(loss), count),
    }
    return {
        "calibration_slope": (slope, *intervals.plain_interval(slope, slope_error, count)),
        "observed_expected": (ratio, *intervals.log_interval(ratio, error["ratio"], count)),
        "brier": (brier, *intervals.score_interval(brier, error["brier"], count)),
        "log_loss": (mean_loss, *intervals.log_interval(mean_loss, error["loss"], count)),
    }
