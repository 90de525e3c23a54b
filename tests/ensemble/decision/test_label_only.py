"""A decision without masks: the gate of highest balanced accuracy, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ensemble.decision.label_only import gate_table
from ensemble.evidence.evidence import Cases, Evidence
from ensemble.evidence.histograms import LEVELS, NOTHING
from ensemble.evidence.mask_average import MaskEnsemble
from ensemble.rules.gate import Gate
from experiments.statistics.bootstrap import PatientDraws


def labelled(prob: list[float], label: list[int]) -> Cases:
    """Images of 100 pixels with empty maps and image-level labels."""
    p, count = np.array(prob), len(prob)
    above = np.zeros((count, LEVELS), np.int64)
    above[:, 0] = 100
    evidence = Evidence(p, p, p[:, None], above, np.ones(count))
    hit = np.zeros((count, LEVELS), np.int64)
    return Cases(
        evidence, hit, np.zeros(count, np.int64), np.arange(count), np.arange(count), np.array(label) == 1
    )


@pytest.mark.parametrize(
    ("prob", "label", "cut"),
    [
        ([0.1, 0.2, 0.6, 0.8], [0, 0, 1, 1], 0.4),  # half-way between 0.2 and 0.6
        (
            [0.1, 0.3, 0.5, 0.9],
            [0, 1, 0, 1],
            0.7,
        ),  # sensitivity 1/2 and specificity 1, or 1 and 1/2: the higher cut
    ],
)
def test_the_gate_is_cut_where_balanced_accuracy_is_highest(prob, label, cut):
    gate = Gate.fit_to_labels(labelled(prob, label))
    assert gate.cut == pytest.approx(cut)
    assert (gate.thresholds(labelled(prob, label).evidence) < NOTHING).tolist() == [p >= cut for p in prob]


def test_balanced_accuracy_by_hand():
    label = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0], bool)
    called = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 1], bool)
    row = gate_table(label, called, PatientDraws(np.arange(10), 200, 0)).iloc[0]
    assert row["sensitivity"] == 0.75
    assert row["specificity"] == pytest.approx(5 / 6)
    assert row["score"] == pytest.approx((0.75 + 5 / 6) / 2)
    assert row["called"] == 0.4
    assert row["low"] < row["score"] < row["high"]


def test_without_mask_models_every_map_is_empty():
    level, agreement = MaskEnsemble(weights={}).combine({})
    assert not level.any()
    assert agreement == 1.0
