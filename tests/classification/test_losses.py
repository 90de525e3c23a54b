"""The classifier's loss by hand."""

from __future__ import annotations

import math

import pytest
import torch

from classification.losses import mixed, where

LOG2 = math.log(2)


@pytest.mark.parametrize(
    ("alpha", "gamma", "expected"),
    [(0.0, 2.0, LOG2), (1.0, 0.0, LOG2), (1.0, 2.0, LOG2 / 4), (0.5, 1.0, 0.75 * LOG2)],
)
def test_mixed_at_probability_one_half(alpha: float, gamma: float, expected: float) -> None:
    logit = torch.zeros(2)
    assert mixed(logit, torch.tensor([0.0, 1.0]), alpha, gamma).tolist() == pytest.approx([expected] * 2)


def test_a_cell_is_positive_when_the_mask_touches_it() -> None:
    mask = torch.zeros(1, 1, 4, 4)
    mask[0, 0, 0, 3] = 1  # touches the upper right cell of 2 x 2
    right = torch.tensor([[-20.0, 20.0], [-20.0, -20.0]]).reshape(1, 1, 2, 2)
    assert where(right, mask).item() == pytest.approx(0.0, abs=1e-5)
    # all empty: cross-entropy 20 of one cell in four, and dice (2·0 + 1) / (0 + 1 + 1)
    assert where(torch.full((1, 1, 2, 2), -20.0), mask).item() == pytest.approx(
        20 / 4 - math.log(1 / 2), abs=1e-4
    )


@pytest.mark.parametrize("gamma", [0.5, 0.803, 2.0])
def test_the_gradient_is_finite_for_every_logit(gamma: float) -> None:
    logit = torch.tensor([-200.0, -17, -16, 0, 16, 200], requires_grad=True)
    mixed(logit, torch.zeros(6), 1.0, gamma).sum().backward()
    assert torch.isfinite(logit.grad).all()
