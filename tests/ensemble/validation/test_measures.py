"""Differences to the hold-out, images with and without a tube, and images of which only the label is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ensemble.decision.operating_points import OperatingPoint
from ensemble.validation import measures
from experiments.statistics.bootstrap import PatientDraws


def test_difference_recovers_its_interval_from_both() -> None:
    here = {"value": 0.7, "low": 0.6, "high": 0.75}
    there = {"value": 0.9, "low": 0.86, "high": 0.92}
    found = measures.difference(here, there)
    assert found["value"] == pytest.approx(-0.2)
    assert found["low"] == pytest.approx(-0.2 - np.hypot(0.1, 0.02))
    assert found["high"] == pytest.approx(-0.2 + np.hypot(0.05, 0.04))


def test_difference_without_an_interval_has_none() -> None:
    found = measures.difference(
        {"value": 0.1, "low": None, "high": None}, {"value": 0.3, "low": 0.2, "high": 0.4}
    )
    assert found == {"value": pytest.approx(-0.2), "low": None, "high": None}


def test_interval_of_a_difference_covers() -> None:
    """95 % of the intervals of two rates' difference, of other patients, hold the true one (3 standard errors of 400 draws)."""
    random, held = np.random.Generator(np.random.PCG64(5)), 0
    for _ in range(400):
        sides = []
        for rate, count in ((0.8, 60), (0.9, 120)):
            right = random.random(count) < rate
            draws = PatientDraws(np.arange(count), 100, 0)
            sides.append(measures.mean_of(right.astype(float), np.ones(count, bool), draws))
        found = measures.difference(*sides)
        held += found["low"] <= -0.1 <= found["high"]
    assert 0.917 <= held / 400 <= 0.983


def table(dice: list[float], label: list[int], prob: list[float]) -> pd.DataFrame:
    """What `measure` needs of the table of images."""
    n, values = len(dice), np.array(dice)
    return pd.DataFrame(
        {
            "patient_id": [f"p{i}" for i in range(n)],
            "label": label,
            "dice": values,
            "iou": values / (2 - values),
            "raw": prob,
            "calibrated": prob,
            "prob": prob,
            "predicted_area": 10.0,
            "true_area": np.where(np.array(label) == 1, 10.0, 0.0),
            "pixels": 100,
            "submitted": [p > 0.5 for p in prob],
        }
    )


def test_labels_without_masks_leave_out_what_needs_masks() -> None:
    found = table([0.8, 0.0, 1.0, 0.0], [1, 1, 0, 0], [0.9, 0.8, 0.1, 0.6])
    label = found["label"].to_numpy()
    shown = measures.with_labels(found.assign(true_share=0.0), label, np.array([True, False, True, True]))
    measured = measures.measure(shown, PatientDraws(shown["patient_id"].to_numpy(), 100, 0), 5)
    assert np.isnan(shown["dice"][1])
    assert measured["dice_positive"]["value"] == pytest.approx(0.8)
    assert measured["tnr"]["value"] == pytest.approx(0.5)
    assert measured["kaggle_dice"]["value"] is None
    assert measured["miou"]["value"] is None
    assert measured["prevalence"]["value"] == 0.5
    assert measured["auroc"]["value"] == 1.0


def test_tubes_are_scored_apart_and_in_pairs() -> None:
    """A model that finds tubes: all images with one are flagged, whatever their label; each patient has one of each."""
    label, tube = np.repeat([1, 0], 20), np.tile([1.0, 0.0], 20)
    found = table([0.0] * 40, label.tolist(), np.where(tube == 1, 0.9, 0.1).tolist())
    found["patient_id"] = [f"p{i // 2}" for i in range(40)]
    points = [OperatingPoint(name="half", threshold=0.5, sensitivity=0.9, specificity=0.9)]
    rows = measures.by_tube(
        found, tube, points, PatientDraws(found["patient_id"].to_numpy(), 200, 0)
    ).set_index("measure")
    assert rows.loc["sensitivity", ["with_value", "without_value", "difference_value"]].tolist() == [
        1.0,
        0.0,
        1.0,
    ]
    assert rows.loc["specificity", ["with_value", "without_value", "difference_value"]].tolist() == [
        0.0,
        1.0,
        -1.0,
    ]
    assert rows.loc["sensitivity", ["with_images", "without_images"]].tolist() == [10, 10]
    assert rows.loc["sensitivity", "difference_low"] < 1.0  # ten patients are not all


def test_pairs_without_any_change_have_an_interval() -> None:
    found = table([0.0] * 8, [1, 1, 0, 0] * 2, [0.9, 0.9, 0.1, 0.1] * 2)
    points = [OperatingPoint(name="half", threshold=0.5, sensitivity=0.9, specificity=0.9)]
    rows = measures.by_tube(found, np.tile([1.0, 0.0], 4), points, PatientDraws(np.arange(8) // 2, 100, 0))
    assert (rows["difference_value"] == 0).all()
    assert (rows["difference_low"] < 0).all()


def test_auroc_by_tube_by_hand() -> None:
    """A finder of tubes: all with one score .9 or .8, all without .2 or .1, positives first. Within a group all pairs are ranked
    rightly; positives without a tube against negatives with one never, the other way always."""
    found = pd.DataFrame({"label": [1, 1, 0, 0], "prob": [0.9, 0.2, 0.8, 0.1]})
    drain = np.array([1.0, 0.0, 1.0, 0.0])
    rows = measures.auroc_by_tube(found, drain, PatientDraws(np.arange(4), 100, 0)).set_index("comparison")
    assert rows["value"].tolist() == [1, 1, 0, 1]
    assert rows["positives"].tolist() == rows["negatives"].tolist() == [1, 1, 1, 1]
    unknown = measures.auroc_by_tube(found, np.full(4, np.nan), PatientDraws(np.arange(4), 100, 0))
    assert unknown["value"].isna().all()
