"""Operating points are fixed on out-of-fold predictions: hand-computed thresholds, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from ensemble.decision import operating_points
from ensemble.decision.operating_points import OperatingPoint
from experiments.settings.decision import OperatingPointSettings

LABEL = np.array([0, 0, 0, 0, 1, 0, 1, 1, 1, 1], bool)
PROB = np.array([0.1, 0.1, 0.2, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.9])


@pytest.mark.parametrize(
    ("wanted", "threshold", "sensitivity", "specificity"),
    [
        ({"specificity": 0.95}, 0.45, 0.8, 1.0),
        ({"specificity": 0.8}, 0.325, 1.0, 0.8),
        ({"specificity": 0.5}, 0.25, 1.0, 0.6),
        ({"sensitivity": 0.95}, 0.325, 1.0, 0.8),
        ({"sensitivity": 0.6}, 0.55, 0.6, 1.0),
        ({"threshold": 0.4}, 0.4, 0.8, 0.8),
    ],
)
def test_threshold_of_each_kind(wanted, threshold, sensitivity, specificity) -> None:
    own = OperatingPointSettings(name="own", **wanted)
    point = operating_points.fit(LABEL, PROB, PROB > 2, [own])[-1]
    assert point.threshold == pytest.approx(threshold)
    assert (point.sensitivity, point.specificity) == (sensitivity, specificity)


def test_the_rule_flags_what_it_draws() -> None:
    submitted = PROB > 0.55
    rule, *others = operating_points.fit(LABEL, PROB, submitted)
    assert (rule.name, rule.threshold, rule.sensitivity, rule.specificity) == ("rule", None, 0.6, 1.0)
    assert np.array_equal(rule.flagged(PROB, submitted), submitted)
    assert [point.name for point in others] == ["95 % specificity", "95 % sensitivity"]


def test_an_image_at_the_threshold_is_flagged() -> None:
    point = OperatingPoint(name="x", threshold=0.5, sensitivity=1, specificity=1)
    assert point.flagged(np.array([0.4999, 0.5]), np.zeros(2, bool)).tolist() == [False, True]


@pytest.mark.parametrize("given", [{}, {"specificity": 0.9, "sensitivity": 0.9}])
def test_an_own_point_has_exactly_one_condition(given) -> None:
    with pytest.raises(ValueError, match="exactly one of specificity, sensitivity and threshold"):
        OperatingPointSettings(name="x", **given)
