"""The image's probability from a network's map, against values by hand."""

from __future__ import annotations

import math

import pytest
import torch

from imaging.map_levels import encode
from segmentation.pooled import pooled_probability


def sparse(side: int, logits: dict[float, int], rest: float = -6.0) -> torch.Tensor:
    """A map (1, 1, side, side) of probabilities with so many pixels of each logit, and `rest` elsewhere."""
    values = torch.full((side * side,), rest)
    place = 0
    for value, number in logits.items():
        values[place : place + number] = value
        place += number
    return values.sigmoid().reshape(1, 1, side, side)


@pytest.mark.parametrize(
    ("side", "logits", "mean"),
    [
        (100, {}, -6.0),  # 50 pixels are pooled
        (100, {2.0: 50}, 2.0),
        (100, {2.0: 10_000}, 2.0),
        (100, {3.0: 20, 1.0: 30}, (20 * 3 + 30 * 1) / 50),
        (100, {4.0: 10, -1.0: 20, -3.0: 900}, (10 * 4 - 20 * 1 - 20 * 3) / 50),
        (100, {1.0: 5}, (5 * 1 - 45 * 6) / 50),
        (10, {1.5: 1}, 1.5),  # half a pixel: at least one is pooled
    ],
)
def test_by_hand(side: int, logits: dict[float, int], mean: float) -> None:
    found = pooled_probability(sparse(side, logits))
    assert (found.shape, found.dtype) == ((1,), torch.float64)
    assert found.logit().item() == pytest.approx(mean, abs=1e-5)


def test_maps_that_round_to_background_keep_their_order() -> None:
    """Below .004 all levels are 0: what ranked most negatives alike."""
    faint = [sparse(20, {}, rest) for rest in (-12.0, -9.0, -7.0, -6.0)]
    assert {int(encode(one.numpy()).max()) for one in faint} == {0}
    found = pooled_probability(torch.cat(faint))
    assert (found.diff() > 0).all()


def test_probabilities_of_exactly_0_and_1_have_finite_logits() -> None:
    found = pooled_probability(torch.stack([torch.zeros(1, 8, 8), torch.ones(1, 8, 8)]))
    assert 0 < found[0] < 1e-29
    assert 1 - 1e-7 < found[1] < 1
    assert math.isfinite(found.logit().sum())
