"""Intervals by hand, at the ends of the scale, and their coverage in a small simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import expit

from experiments.statistics import intervals
from experiments.statistics.bootstrap import PatientDraws


def test_all_of_156_images_of_96_patients_are_not_certain() -> None:
    """The percentile interval was [1, 1]."""
    draws = PatientDraws(np.minimum(np.arange(156) // 2, 95), 200, 0)
    error = intervals.standard_error(draws.mean(np.ones(156)), 96)
    low, high = intervals.score_interval(1.0, error, 96)
    assert error == 0
    assert low == pytest.approx(0.9605, abs=5e-4)
    assert high == 1


@pytest.mark.parametrize(
    ("form", "value", "error", "low", "high"),
    [
        # Wilson, 81 of 100: (0.7222, 0.8749) (Newcombe 1998); many patients, t is then the normal quantile
        (intervals.score_interval, 0.81, math.sqrt(0.81 * 0.19 / 100), 0.7222, 0.8749),
        (intervals.logit_interval, 0.9, 0.02, 0.8533, 0.9330),
        (intervals.log_interval, 2.0, 0.2, 1.6440, 2.4331),
        (intervals.plain_interval, 1.0, 0.1, 0.8040, 1.1960),
    ],
)
def test_intervals_by_hand(form, value, error, low, high) -> None:
    assert form(value, error, 1_000_000) == pytest.approx((low, high), abs=2e-4)


def test_few_patients_widen_every_interval() -> None:
    for form in (intervals.score_interval, intervals.logit_interval, intervals.log_interval):
        assert form(0.5, 0.1, 5)[0] < form(0.5, 0.1, 500)[0]


def test_what_does_not_exist_is_nan() -> None:
    assert np.isnan(intervals.score_interval(math.nan, math.nan, 3)).all()
    assert math.isnan(intervals.standard_error(np.full(9, np.nan), 3))


@pytest.mark.parametrize("rate", [0.5, 0.97])
def test_coverage_of_a_rate_in_clusters(rate) -> None:
    """120 images of 60 patients, alike within a patient: percentile intervals cover 97 % rates in fewer than 90 % of samples."""
    random, covered, repeats = np.random.default_rng(1), 0, 400
    patient = np.arange(120) // 2
    for _ in range(repeats):
        shift = random.normal(0, 1, 60)[patient]
        values = (random.random(120) < expit(math.log(rate / (1 - rate)) + shift)).astype(float)
        draws = PatientDraws(patient, 100, 0)
        error = intervals.standard_error(draws.mean(values), 60)
        low, high = intervals.score_interval(float(values.mean()), error, 60)
        covered += low <= _mean_rate(rate) <= high
    assert 0.92 <= covered / repeats <= 0.985


def _mean_rate(rate: float) -> float:
    """The rate after the patients' shifts: the mean of a logistic-normal variable."""
    nodes, weight = np.polynomial.hermite_e.hermegauss(60)
    return float(weight @ expit(math.log(rate / (1 - rate)) + nodes) / weight.sum())
