"""A mixture by hand: 20 negatives, 18 positives with a mask of Dice one half, and two with boxes alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ensemble.evaluation import report, subgroups, wording
from ensemble.evaluation.holdout_metrics import measure
from experiments.statistics.bootstrap import PatientDraws


@pytest.fixture
def table() -> pd.DataFrame:
    label = np.arange(40) % 2
    dice = np.where(label == 1, 0.5, 1.0)
    dice[[1, 3]] = np.nan
    prob = np.clip(label * 0.4 + np.random.default_rng(0).random(40) * 0.6, 0, 1)
    area = np.where(np.isnan(dice), np.nan, label * 100.0)
    facts = {
        "patient_id": [f"p{k}" for k in range(40)],
        "raw": prob,
        "calibrated": prob,
        "prob": prob,
        "label": label,
    }
    masks = {
        "dice": dice,
        "iou": dice / (2 - dice),
        "predicted_area": label * 100,
        "true_area": area,
        "pixels": 10_000,
    }
    made = pd.DataFrame({**facts, **masks, "box_hit": np.nan})
    made.loc[[1, 3], "box_hit"] = [1.0, 0.0]
    return made


def test_masks_are_measured_where_they_are_known_and_labels_everywhere(table):
    found = measure(table, PatientDraws(table["patient_id"].to_numpy(), 100, 0), 10)
    value = {name: one["value"] for name, one in found.items()}
    assert value["kaggle_dice"] == pytest.approx((20 + 18 * 0.5) / 38)
    assert value["tnr"] == 1
    assert value["dice_positive"] == 0.5
    assert value["all_empty"] == pytest.approx(20 / 38)
    assert value["prevalence"] == 0.5
    assert value["box_hit_rate"] == 0.5
    assert value["auroc"] == pytest.approx(0.905)


def test_without_any_mask_there_is_no_measure_of_masks(table):
    table[["dice", "iou"]] = np.nan
    found = measure(table.drop(columns="box_hit"), PatientDraws(table["patient_id"].to_numpy(), 100, 0), 10)
    for name in ("kaggle_dice", "tnr", "dice_positive", "all_empty", "iou_positive", "miou", "mdice"):
        assert found[name] == {"value": None, "low": None, "high": None}
    assert found["prevalence"]["value"] == 0.5
    assert "box_hit_rate" not in found


def test_without_masks_neither_dice_nor_a_probability_with_masks_is_displayed():
    def of(value):
        return {"value": value, "low": value, "high": value}

    measured = {"kaggle_dice": of(None), "auroc": of(0.7), "auroc_calibrated": of(0.7), "prevalence": of(0.2)}
    assert wording.displayed(measured) == ["auroc_calibrated", "prevalence"]
    assert wording.displayed({**measured, "kaggle_dice": of(0.9)}) == list(measured)
    assert wording.displayed({}) == []


def test_the_score_says_of_which_images_its_prevalence_is(table):
    found = measure(table, PatientDraws(table["patient_id"].to_numpy(), 100, 0), 10)
    value = {name: one["value"] for name, one in found.items()}
    assert "0.526 × 1.000 + 0.474 × 0.500" in report._identity(value)
    assert "π here is that of the images whose mask is known" in report._identity(value)
    assert "π here" not in report._identity({**value, "prevalence": 1 - value["all_empty"]})


def test_a_group_whose_positives_have_no_mask_has_no_score(table):
    """Source b has labels alone: its negatives' score of 1 is not the group's."""
    table = table.assign(sex="F", age=50.0, view="PA", true_share=0.1, source=["a", "a", "b", "b"] * 10)
    table.loc[(table["source"] == "b") & (table["label"] == 1), "dice"] = np.nan
    found = subgroups.report(table, PatientDraws(table["patient_id"].to_numpy(), 100, 0))
    rows = found[found["kind"] == "source"].set_index("group")
    assert rows.loc["b", ["score", "low", "high", "dice_positive"]].isna().all()
    assert rows.loc["b", "tnr"] == 1
    assert rows.loc["a", "score"] == pytest.approx((10 + 9 * 0.5) / 19)
