"""95 % confidence intervals from an estimate, its standard error over patients, and the number of patients behind it.

Plain percentile or Wald intervals cover too rarely where few patients count or where a measure lies near 0 or 1: 156 of 156
would get [1, 1]. The coverage of the forms here is simulated by benchmarks/coverage.py (docs/evaluation.md). All use Student's t
with one degree of freedom less than there are patients.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import expit, logit
from scipy.stats import t as student

from experiments.statistics.arrays import Floats

Ends = tuple[float, float]
UNKNOWN: Ends = (math.nan, math.nan)


def score_interval(value: float, error: float, patients: int, freedom: float | None = None) -> Ends:
    """Wilson's score interval of a rate or a mean in [0, 1], with the effective number of images value·(1 − value)/error².

    The standard error over patients carries the design effect. At 0 and 1, where it vanishes, the number of patients takes the
    place of the effective number: images of one patient are then counted as one (Korn & Graubard 1998 for the idea).
    freedom: degrees of freedom of the error, where they are not patients - 1.
    """
    if math.isnan(value) or patients < 1:
        return UNKNOWN
    spread = value * (1 - value)
    count = spread / error**2 if spread > 0 and error > 0 else patients
    z = quantile(patients if freedom is None or error == 0 else freedom + 1)
    centre = (value + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(spread / count + z * z / (4 * count * count))
    return max(centre - half, 0.0), min(centre + half, 1.0)


def logit_interval(value: float, error: float, patients: int, freedom: float | None = None) -> Ends:
    """Interval on the logit scale, for areas under curves (Qin & Hotilovac 2008); as `score_interval` at 0 and 1."""
    if math.isnan(value) or not (0 < value < 1 and error > 0):
        return score_interval(value, error, patients, freedom)
    half = quantile(patients if freedom is None else freedom + 1) * error / (value * (1 - value))
    return float(expit(logit(value) - half)), float(expit(logit(value) + half))


def log_interval(value: float, error: float, patients: int) -> Ends:
    """Interval on the log scale, for positive quantities such as a ratio or a loss."""
    if math.isnan(value) or value <= 0 or patients < 1:
        return UNKNOWN
    factor = math.exp(min(quantile(patients) * error / value, 700.0))
    return value / factor, value * factor


def plain_interval(value: float, error: float, patients: int) -> Ends:
    """value ± t·error, for quantities without bounds."""
    half = quantile(patients) * error
    return value - half, value + half


def standard_error(samples: Floats, patients: int) -> float:
    """Standard error from bootstrap samples, unbiased for few patients; NaN without samples."""
    known = samples[~np.isnan(samples)]
    if len(known) < 2:
        return math.nan
    return float(known.std(ddof=1)) * math.sqrt(patients / max(patients - 1, 1))


def quantile(patients: float) -> float:
    """The 97.5 % quantile of Student's t with one degree of freedom less than patients (at least one)."""
    return float(student.ppf(0.975, max(patients - 1, 1)))
