"""The mixed loss on tiny tensors, worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from experiments.overlap import EMPTY_SHARE, log_dice
from segmentation.losses import focal, mixed

FULL, NONE = 20.0, -20.0  # logits whose probabilities are 1 and 0 to nine digits


def logits(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).reshape(1, 1, 2, 2)


@pytest.mark.parametrize(
    ("logit", "mask", "dice"),
    [
        # (2·both + 1) / (predicted + true + 1)
        ([FULL, FULL, NONE, NONE], [1, 1, 0, 0], 1.0),
        ([FULL, NONE, FULL, NONE], [1, 1, 0, 0], 3 / 5),
        ([NONE, NONE, NONE, NONE], [1, 1, 0, 0], 1 / 3),
        ([0, 0, 0, 0], [1, 0, 0, 0], 2 / 4),
        # empty: s / (s + predicted), s = 1 % of 4 pixels
        ([NONE, NONE, NONE, NONE], [0, 0, 0, 0], 1.0),
        ([FULL, NONE, NONE, NONE], [0, 0, 0, 0], 0.04 / 1.04),
    ],
)
def test_log_dice(logit: list[float], mask: list[float], dice: float) -> None:
    assert log_dice(logits(logit), logits(mask)).item() == pytest.approx(-math.log(dice), abs=1e-5)


def test_an_empty_image_pays_log_two_for_a_median_lesion() -> None:
    logit = torch.full((1, 1, 10, 10), NONE)
    logit[0, 0, 0, 0] = FULL
    assert EMPTY_SHARE == 0.01
    assert log_dice(logit, torch.zeros(1, 1, 10, 10)).item() == pytest.approx(math.log(2), abs=1e-5)


@pytest.mark.parametrize(
    ("gamma", "expected"), [(0.0, math.log(2)), (1.0, math.log(2) / 2), (2.0, math.log(2) / 4)]
)
def test_focal_at_probability_one_half(gamma: float, expected: float) -> None:
    assert focal(logits([0, 0, 0, 0]), logits([1, 0, 0, 1]), gamma).item() == pytest.approx(expected)


def test_alpha_mixes_the_terms_and_is_no_class_balance() -> None:
    logit, mask = logits([1.0, -2.0, 0.5, 0.0]), logits([1, 0, 0, 0])
    one, two = mixed(logit, mask, 0.3, 3.5), mixed(logit, mask, 0.6, 3.5)
    assert (two - one).item() == pytest.approx(0.3 * focal(logit, mask, 3.5).item())
    assert mixed(logit, mask, 0.0, 3.5).item() == pytest.approx(log_dice(logit, mask).item())


def test_each_image_counts_for_itself() -> None:
    logit, mask = torch.randn(3, 1, 4, 4, generator=torch.manual_seed(0)), torch.zeros(3, 1, 4, 4)
    mask[0, 0, :2] = 1
    together = mixed(logit, mask, 0.3, 2.0)
    alone = torch.cat([mixed(logit[[i]], mask[[i]], 0.3, 2.0) for i in range(3)])
    assert torch.allclose(together, alone)


def test_an_all_empty_batch_still_teaches() -> None:
    logit = torch.zeros(2, 1, 4, 4, requires_grad=True)
    mixed(logit, torch.zeros(2, 1, 4, 4), 0.3, 2.0).mean().backward()
    assert (logit.grad > 0).all()  # every pixel is pushed down


@pytest.mark.parametrize("value", [FULL * 5, NONE * 5])
def test_extreme_logits_stay_finite(value: float) -> None:
    logit = torch.full((1, 1, 2, 2), value, requires_grad=True)
    for mask in (torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)):
        loss = mixed(logit, mask, 0.3, 3.5).mean()
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(logit.grad).all()
