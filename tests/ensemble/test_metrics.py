"""Measures against hand-computed values and scikit-learn's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from ensemble import metrics


@pytest.mark.parametrize(
    ("predicted", "truth", "dice"),
    [
        ([[0, 0]], [[0, 0]], 1.0),
        ([[1, 0]], [[0, 0]], 0.0),
        ([[0, 0]], [[0, 1]], 0.0),
        ([[1, 1]], [[0, 1]], 2 / 3),
        ([[255, 255]], [[1, 1]], 1.0),
        ([[1, 1, 0, 0]], [[0, 1, 1, 1]], 0.4),
    ],
)
def test_kaggle_dice(predicted, truth, dice) -> None:
    for kind in (np.uint8, bool, np.float32):
        assert metrics.kaggle_dice(np.array(predicted, kind), np.array(truth, kind)) == dice


def test_masks_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 2\).*\(2, 3\)"):
        metrics.kaggle_dice(np.zeros((2, 2)), np.zeros((2, 3)))


def test_score_comes_apart() -> None:
    dice, label = np.array([1.0, 0.0, 1.0, 0.5, 0.0]), np.array([False, False, False, True, True])
    parts = metrics.breakdown(dice, label)
    assert parts == metrics.Breakdown(0.5, 0.4, 2 / 3, 0.25, 0.6, 5, 2)
    assert parts.score == pytest.approx(
        (1 - parts.prevalence) * parts.tnr + parts.prevalence * parts.dice_positive
    )


def test_all_empty_on_siim_is_exact() -> None:
    label = np.arange(12047) < 2669
    assert metrics.breakdown(np.where(label, 0.0, 1.0), label).score == 9378 / 12047


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40))
def test_another_empty_image_left_empty_never_lowers_the_score(images) -> None:
    dice, label = np.array([d for d, _ in images]), np.array([y for _, y in images])
    more = metrics.breakdown(np.append(dice, 1.0), np.append(label, False))
    assert more.score >= metrics.breakdown(dice, label).score - 1e-15


@pytest.mark.parametrize("step", [0.001, 0.25])  # 0.25: many ties
def test_rank_measures_equal_scikit_learn(step) -> None:
    random = np.random.default_rng(0)
    label = random.random(300) < 0.3
    prob = np.round(np.clip(random.normal(0.4 + 0.2 * label, 0.2), 0, 1) / step) * step
    assert metrics.auroc(label, prob) == pytest.approx(roc_auc_score(label, prob), abs=1e-12)
    assert metrics.average_precision(label, prob) == pytest.approx(
        average_precision_score(label, prob), abs=1e-12
    )


def test_sensitivity_at_specificity_by_hand() -> None:
    prob = np.array([0.9, 0.8, 0.7, 0.6, *np.linspace(0.5, 0.1, 17)])
    label = np.array([True, False, True, True] + [False] * 16 + [True])
    # 17 empty images; one false alarm is 5.9 %, so only what ranks above 0.8 counts: one of four
    assert metrics.sensitivity_at_specificity(label, prob) == 0.25
    assert metrics.sensitivity_at_specificity(label, prob, 0.94) == 0.75


def test_calibration_error_by_hand() -> None:
    prob = np.array([0.1, 0.1, 0.9, 0.9, 1.0])
    label = np.array([False, True, True, True, True])
    # two bins: |0.1 − 0.5|·2/5 + |2.8/3 − 1|·3/5
    assert metrics.expected_calibration_error(label, prob, 2) == pytest.approx(0.16 + 0.04)


def test_what_does_not_exist_is_nan() -> None:
    prob, none = np.array([0.2, 0.4]), np.array([False, False])
    assert math.isnan(metrics.auroc(none, prob))
    assert math.isnan(metrics.sensitivity_at_specificity(none, prob))
    assert math.isnan(metrics.breakdown(np.ones(2), none).dice_positive)
    with pytest.raises(ValueError, match="no images"):
        metrics.breakdown(np.ones(0), np.zeros(0, bool))


def test_iou_follows_from_dice() -> None:
    a, b = np.array([[1, 1, 1, 0]]), np.array([[0, 1, 1, 1]])
    dice = metrics.kaggle_dice(a, b)
    assert metrics.iou_of_dice(np.array([dice]))[0] == pytest.approx(2 / 4)
