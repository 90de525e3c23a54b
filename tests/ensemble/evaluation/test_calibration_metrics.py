"""Calibration measures: what they are of calibrated, too extreme and shifted probabilities, and their intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from ensemble.evaluation import calibration_metrics
from ensemble.evaluation.holdout_metrics import measure
from ensemble.metrics import expected_calibration_error
from experiments.statistics.bootstrap import PatientDraws


@pytest.fixture
def outcomes():
    random = np.random.default_rng(2)
    prob = expit(random.normal(-1, 1.5, 20_000))
    return random.random(20_000) < prob, prob, np.arange(20_000) // 2


@pytest.mark.parametrize(("steepness", "slope"), [(1.0, 1.0), (2.0, 0.5), (0.5, 2.0)])
def test_slope_of_probabilities_too_extreme_or_too_timid(outcomes, steepness, slope) -> None:
    label, prob, patient = outcomes
    found, error = calibration_metrics.calibration_slope(label, expit(steepness * logit(prob)), patient)
    assert found == pytest.approx(slope, abs=4 * error)
    assert error < 0.05 * slope


def test_observed_over_expected() -> None:
    label = np.array([1, 1, 0, 0], bool)
    assert calibration_metrics.observed_expected(label, np.array([0.5, 0.25, 0.25, 0.0])) == 2


def test_separated_classes_have_no_slope() -> None:
    label = np.repeat([False, True], 20)
    prob = np.where(label, 0.9, 0.1)
    assert np.isnan(calibration_metrics.calibration_slope(label, prob, np.arange(40))).all()


def test_a_calibrated_probability_lies_in_the_intervals() -> None:
    """Percentile intervals of the expected calibration error held its value in none of such samples."""
    random, held = np.random.default_rng(0), {"calibration_slope": 0, "observed_expected": 0}
    for _ in range(60):
        prob = expit(random.normal(-1, 1.5, 200))
        label = random.random(200) < prob
        patient = np.arange(200)
        found = calibration_metrics.measure(label, prob, patient, PatientDraws(patient, 100, 0))
        for name in held:
            _, low, high = found[name]
            held[name] += low <= 1 <= high
    assert min(held.values()) >= 51  # 95 % of 60 is 57; fewer than 51 come in 1 of 100 such tests


def test_no_interval_of_the_biased_calibration_error() -> None:
    random = np.random.default_rng(0)
    prob = expit(random.normal(-1, 1.5, 200))
    label = random.random(200) < prob
    table = pd.DataFrame(
        {
            "label": label.astype(int),
            "patient_id": np.arange(200) // 2,
            "raw": prob,
            "calibrated": prob,
            "prob": prob,
            "dice": 1.0 * ~label,
            "iou": 1.0 * ~label,
            "predicted_area": 0,
            "true_area": 9 * label,
            "pixels": 100,
        }
    )
    measured = measure(table, PatientDraws(table["patient_id"].to_numpy(), 300, 0), 15)
    assert measured["ece"] == {
        "value": expected_calibration_error(label, prob, 15),
        "low": None,
        "high": None,
    }
    assert measured["tnr"]["value"] == 1
    assert measured["tnr"]["low"] < 0.97
    assert measured["auroc_classifier"] == measured["auroc"]
