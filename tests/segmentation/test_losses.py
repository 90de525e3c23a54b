"""Every loss on tiny tensors, worked out by hand; empty masks; gradients."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch

from experiments.settings.training import SegmentationSettings
from experiments.training import losses
from experiments.training.losses import EMPTY_SHARE, log_dice
from segmentation.architectures import Outputs
from segmentation.architectures.segmenter import log_odds
from segmentation.losses import (
    batch_dice,
    cross_entropy,
    dice,
    each,
    focal,
    lovasz,
    negative_area_dice,
    total,
    tversky,
)

FULL, NONE = 20.0, -20.0  # logits whose probabilities are 1 and 0 to nine digits


def settings(**changes: Any) -> SegmentationSettings:
    return SegmentationSettings(models=["u"], **changes)


def mixed(logit: torch.Tensor, mask: torch.Tensor, alpha: float, gamma: float) -> torch.Tensor:
    return each(logit, mask, settings(alpha=alpha, gamma=gamma))


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


# Four pixels; SURE says the first two, the truth is the first and the third; HALF is undecided everywhere.
SURE, TRUTH, HALF = [FULL, FULL, NONE, NONE], [1, 0, 1, 0], [0.0, 0.0, 0.0, 0.0]
EMPTY = [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("loss", "logit", "mask", "expected"),
    [
        (cross_entropy, HALF, TRUTH, math.log(2)),
        (cross_entropy, SURE, TRUTH, 2 * FULL / 4),
        (cross_entropy, HALF, EMPTY, math.log(2)),
        (dice, SURE, TRUTH, 1 - 3 / 5),  # (2·1 + 1) / (2 + 2 + 1)
        (dice, SURE, EMPTY, 1 - 0.04 / 2.04),  # 1 % of 4 pixels, two falsely marked
        (dice, [NONE] * 4, EMPTY, 0.0),
        # (2·1 + 1) / (2 (1 + .7·1 + .3·1) + 1); with two missed and none false: 1 / (2·.7·2 + 1)
        (partial(tversky, missed=0.7), SURE, TRUTH, 1 - 3 / 5),
        (partial(tversky, missed=0.7), [NONE] * 4, TRUTH, 1 - 1 / 3.8),
        (partial(tversky, missed=0.5), [NONE] * 4, TRUTH, 1 - 1 / 3),
        (partial(tversky, missed=0.7), SURE, EMPTY, 1 - 0.04 / 2.04),
        # w (2p - 1) against w (2m - 1), w = .85 in the lesion, .15 outside
        (negative_area_dice, [FULL, NONE, FULL, NONE], TRUTH, 0.0),
        (negative_area_dice, SURE, TRUTH, 1.0),  # two of each kind: .85² - .85² + .15² - .15² = 0
        (negative_area_dice, [NONE] * 4, EMPTY, 0.0),
        (negative_area_dice, [FULL] * 4, EMPTY, 2.0),
        (negative_area_dice, HALF, EMPTY, 1.0),
        # an empty image: the hinge 1 + z of the most wrong pixel alone
        (lovasz, [-3.0, 0.5, -2.0, -9.0], EMPTY, 1.5),
        (lovasz, [-3.0, -2.5, -2.0, -9.0], EMPTY, 0.0),
        # one pixel, missed by 1 - z = 1.5: IoU falls from 1 to 0 with it, so it counts whole
        (lovasz, [-0.5, -2.0, -2.0, -2.0], [1, 0, 0, 0], 1.5),
        # the false pixel, error 3, comes first: IoU 1/2 with it; then the missed, error 2: IoU 0
        (lovasz, [-1.0, 2.0, -2.0, -2.0], [1, 0, 0, 0], 3 * 0.5 + 2 * 0.5),
    ],
)
def test_a_loss_by_hand(loss: Any, logit: list[float], mask: list[float], expected: float) -> None:
    assert loss(logits(logit), logits(mask)).item() == pytest.approx(expected, abs=1e-5)


TERMS = ["cross_entropy", "focal", "dice", "log_dice", "tversky", "lovasz", "negative_area_dice"]


@pytest.mark.parametrize("name", TERMS)
def test_every_term_takes_each_image_for_itself_and_teaches_about_empty_ones(name: str) -> None:
    logit = torch.randn(3, 1, 4, 4, generator=torch.manual_seed(0), requires_grad=True)
    mask = torch.zeros(3, 1, 4, 4)
    mask[0, 0, :2] = 1
    chosen = settings(loss={name: 1.0})
    together = each(logit, mask, chosen)
    alone = torch.cat([each(logit[[i]], mask[[i]], chosen) for i in range(3)])
    assert torch.allclose(together, alone)
    (gradient,) = torch.autograd.grad(together[1], logit)
    assert (gradient[1] >= 0).all()  # of an empty image no pixel is pulled up
    assert gradient[1].max() > 0
    assert (gradient[[0, 2]] == 0).all()


def test_dice_of_the_batch_by_hand() -> None:
    """Both images as one of eight pixels: one hit, 2 + 3 marked, 2 true; the empty image's false pixels count there alone."""
    logit = torch.cat([logits(SURE), logits([FULL, FULL, FULL, NONE])])
    mask = torch.cat([logits(TRUTH), logits(EMPTY)])
    assert batch_dice(logit, mask).tolist() == pytest.approx([1 - 3 / 8] * 2, abs=1e-5)
    flat = torch.zeros(2, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda z: each(z, mask.double(), settings(loss={"batch_dice": 1.0})), (flat,)
    )


@pytest.mark.parametrize("value", [100.0, -100.0])
def test_dice_of_the_batch_stays_finite(value: float) -> None:
    logit = torch.full((2, 1, 2, 2), value, requires_grad=True)
    batch_dice(logit, torch.zeros(2, 1, 2, 2)).mean().backward()
    assert logit.grad is not None
    assert torch.isfinite(logit.grad).all()


def test_the_gradient_of_lovasz_by_hand() -> None:
    """(1 + z1) / 2 + (1 - z0) / 2 as above; smp's computes in float32 alone, so not by finite differences."""
    logit = torch.tensor([-1.0, 2.0, -2.0, -2.0]).reshape(1, 1, 2, 2).requires_grad_()
    (gradient,) = torch.autograd.grad(lovasz(logit, logits([1, 0, 0, 0])).sum(), logit)
    assert gradient.flatten().tolist() == [-0.5, 0.5, 0.0, 0.0]


@pytest.mark.parametrize("name", [name for name in TERMS if name != "lovasz"])
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    generator = torch.manual_seed(1)
    logit = torch.randn(1, 1, 3, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    mask = (torch.rand(1, 1, 3, 3, generator=generator) > 0.5).double()
    assert torch.autograd.gradcheck(lambda z: each(z, mask, settings(loss={name: 1.0})), (logit,))


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("value", [100.0, -100.0])
def test_every_term_stays_finite(name: str, value: float) -> None:
    logit = torch.full((2, 1, 2, 2), value, requires_grad=True)
    mask = torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1).expand(2, 1, 2, 2)
    loss = each(logit, mask, settings(loss={name: 1.0})).sum()
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logit.grad).all()


def test_the_first_places_loss_is_three_to_one_to_four() -> None:
    logit, mask = logits([1.0, -2.0, 0.5, 0.0]), logits([1, 0, 0, 0])
    chosen = settings(loss={"cross_entropy": 3, "dice": 1, "focal": 4}, gamma=2.0)
    wanted = 3 * cross_entropy(logit, mask) + dice(logit, mask) + 4 * focal(logit, mask, 2.0)
    assert each(logit, mask, chosen).item() == pytest.approx(wanted.item())


def test_two_logits_a_pixel_are_a_softmax_in_value_and_gradient() -> None:
    two = torch.randn(2, 2, 3, 3, generator=torch.manual_seed(2), requires_grad=True)
    mask = (torch.rand(2, 1, 3, 3, generator=torch.manual_seed(3)) > 0.5).float()
    ours = cross_entropy(log_odds(two), mask).mean()
    softmax = torch.nn.functional.cross_entropy(two, mask[:, 0].long())
    assert ours.item() == pytest.approx(softmax.item())
    one, other = (torch.autograd.grad(value, two)[0] for value in (ours, softmax))
    assert torch.allclose(one, other, atol=1e-7)


def test_the_total_weighs_masks_and_image_head_by_what_the_mask_shows() -> None:
    mask = torch.zeros(2, 1, 2, 2)
    mask[1, 0, 0, 0] = 1
    logit, image = torch.zeros(2, 1, 2, 2), torch.tensor([NONE, NONE])
    chosen = settings(loss={"cross_entropy": 1.0}, image_head=0.1)
    value = total(Outputs([(0.4, logit), (1.0, logit)], image), mask, chosen).item()
    assert value == pytest.approx(
        1.4 * math.log(2) + 0.1 * 20 / 2, abs=1e-5
    )  # the second image's head is wrong by 20


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"loss": {"focal": 0.0}}, "has no term with a positive weight"),
        ({"loss": {"focal": 1.0}, "alpha": 0.5}, "alpha 0.5 has no effect with loss"),
        ({"loss": {"dise": 1.0}}, "dise"),
    ],
)
def test_a_wrong_loss_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        settings(**changes)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 0.5, 0.803, 1.0, 2.0, 3.5])
def test_the_focal_gradient_is_finite_for_every_logit(gamma: float) -> None:
    """With 1 - exp(-entropy) it was NaN from a logit of -16 on for gamma below 1."""
    logit = torch.tensor([-200.0, -104, -100, -30, -17, -16, 0, 16, 200], requires_grad=True)
    mask = torch.zeros(1, 1, 1, len(logit))
    focal(logit.view_as(mask), mask, gamma).sum().backward()
    assert torch.isfinite(logit.grad).all()
    assert logit.grad[-1] > 0


def test_the_focal_loss_keeps_its_digits_for_small_entropies() -> None:
    """1 - exp(-e) is e - e^2 / 2, and 0 in float32 if computed so for e of 1e-8."""
    assert losses.focal(torch.tensor(1e-8), 0.5).item() == pytest.approx(1e-8**1.5)
