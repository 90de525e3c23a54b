"""What a trial's gate would earn with masks of a fixed quality, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from classification.objective import Objective, kaggle_score
from experiments.settings.training import ClassificationSettings

LABEL = np.array([0, 0, 0, 1] * 10, float)
GROUPS = np.arange(40) // 4 % 5


@pytest.mark.parametrize(
    ("prob", "expected"),
    [
        ([0.1, 0.1, 0.1, 0.9], (3 + 0.6) / 4),  # every lesion let through, nothing else
        ([0.5, 0.5, 0.5, 0.5], 3 / 4),  # no order at all: leave all empty
        ([0.9, 0.1, 0.1, 0.9], 3 / 4),  # one empty image lost for each .6 won: leave all empty
        ([0.9, 0.8, 0.7, 0.1], 3 / 4),
    ],
)
def test_a_gate_earns_the_masks_dice_for_each_lesion_let_through(prob: list[float], expected: float) -> None:
    assert kaggle_score(np.array(prob * 10), LABEL, GROUPS, 0.6) == pytest.approx(expected)


def test_better_masks_are_worth_an_empty_image() -> None:
    prob = np.array([0.9, 0.1, 0.1, 0.9] * 10)
    prob[::8] = 0.1  # every second of the loud empty images is quiet: .5 lost for each lesion's mask
    assert kaggle_score(prob, LABEL, GROUPS, 0.4) == pytest.approx(3 / 4)
    assert kaggle_score(prob, LABEL, GROUPS, 0.9) == pytest.approx((2.5 + 0.9) / 4)


def test_the_score_is_in_the_summary_beside_the_trainings_own() -> None:
    judged = Objective(ClassificationSettings(models=["c"]), GROUPS)
    evidence = torch.tensor(np.stack([np.where(LABEL > 0, 0.9, 0.1), LABEL], axis=1))
    found = judged.summary(evidence)
    assert found["kaggle"] == pytest.approx(0.9)
    assert found["score"] == pytest.approx(0.9001)
    assert found["auroc"] == 1.0


def test_cells_learn_nothing_from_a_positive_whose_place_is_not_known() -> None:
    """Of two positives the second has neither mask nor boxes: its cells get no gradient, its label does."""
    judged = Objective(ClassificationSettings(models=["c"], head="localising"), GROUPS)
    logit = torch.zeros(2, 1, requires_grad=True)
    cells = torch.zeros(2, 1, 4, 4, requires_grad=True)
    mask = torch.zeros(2, 1, 8, 8)
    mask[0, :, :2, :2] = 1
    batch = {"label": torch.ones(2), "mask": mask, "located": torch.tensor([1.0, 0.0])}
    judged.loss((logit, cells), batch).backward()
    assert logit.grad is not None
    assert cells.grad is not None
    assert (logit.grad != 0).all()
    assert (cells.grad[0] != 0).any()
    assert (cells.grad[1] == 0).all()
