"""Operating points, predictive values and net benefit against hand-computed values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ensemble.decision.operating_points import OperatingPoint
from ensemble.evaluation import clinical
from experiments.statistics.bootstrap import PatientDraws

TABLE = pd.DataFrame(
    {
        "label": [1, 1, 1, 0, 0, 0, 0, 0],
        "prob": [0.9, 0.6, 0.2, 0.7, 0.4, 0.3, 0.1, 0.1],
        "submitted": [True, False, False, False, False, False, False, False],
    }
)
POINTS = [
    OperatingPoint(name="rule", threshold=None, sensitivity=0, specificity=1),
    OperatingPoint(name="half", threshold=0.5, sensitivity=0, specificity=1),
]


def test_counts_and_rates() -> None:
    rows = clinical.operating_points(TABLE, POINTS, PatientDraws(np.arange(8), 200, 0)).set_index("name")
    assert rows.loc["half", ["tp", "fn", "fp", "tn"]].tolist() == [2, 1, 1, 4]
    assert rows.loc["half", ["sensitivity", "specificity", "ppv", "npv"]].tolist() == pytest.approx(
        [2 / 3, 4 / 5, 2 / 3, 4 / 5]
    )
    assert rows.loc["half", "number_to_flag"] == pytest.approx(1.5)
    assert rows.loc["half", "number_to_flag_low"] == pytest.approx(1 / rows.loc["half", "ppv_high"])
    assert rows.loc["half", "number_to_flag_high"] == pytest.approx(1 / rows.loc["half", "ppv_low"])
    assert rows.loc["rule", ["tp", "fn", "fp", "tn"]].tolist() == [1, 2, 0, 5]
    assert rows.loc["rule", "specificity_low"] < 0.9  # five of five prove little
    text = clinical.to_markdown(rows.reset_index())
    assert "2/3" in text
    assert "a mask is drawn" in text


def test_predictive_values_follow_bayes() -> None:
    ppv, npv = clinical.predictive_values(0.9, 0.8, np.array([0.1, 0.5]))
    assert ppv == pytest.approx([0.09 / 0.27, 0.45 / 0.55])
    assert npv == pytest.approx([0.72 / 0.73, 0.40 / 0.45])


def test_net_benefit_by_hand() -> None:
    curve = clinical.net_benefit(
        TABLE["label"].to_numpy(bool), TABLE["prob"].to_numpy(), np.array([0.5, 0.2])
    )
    assert curve["model"].tolist() == pytest.approx([2 / 8 - 1 / 8, 3 / 8 - 3 / 8 * 0.25])
    assert curve["flag_all"].tolist() == pytest.approx([3 / 8 - 5 / 8, 3 / 8 - 5 / 8 * 0.25])
