"""A step divided into passes: what fits is chosen, and the gradient stays that of the whole batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from experiments.hardware import Hardware
from experiments.plan.work import card
from experiments.settings.training import SegmentationSettings
from experiments.training.micro_batch import divided
from segmentation.architectures import build
from segmentation.objective import Objective

CPU = Hardware("cpu", "test", 2**34, True)


def settings(**values: Any) -> SegmentationSettings:
    given = {
        "models": ["a"],
        "architecture": "plain",
        "base_channels": 32,
        "image_size": 256,
        "batch_size": 8,
        **values,
    }
    return SegmentationSettings.model_validate(given)


def divide(given: SegmentationSettings, hardware: Hardware) -> SegmentationSettings:
    return divided(build(given, trained=True), Objective(given, np.zeros(1, np.int64)).loss, given, hardware)


@pytest.mark.parametrize(
    ("wish", "hardware", "batch", "accumulate"),
    [
        ("auto", CPU, 8, 3),  # without a GPU nothing is divided
        (None, card(0.9), 8, 3),
        (2, CPU, 2, 12),
        ("auto", card(24), 8, 3),
    ],
)
def test_passes(wish: Any, hardware: Hardware, batch: int, accumulate: int) -> None:
    made = divide(settings(micro_batch=wish, accumulate=3), hardware)
    assert (made.batch_size, made.accumulate) == (batch, accumulate)


def test_a_small_card_takes_smaller_passes_and_a_tiny_one_is_refused() -> None:
    sizes = [divide(settings(), card(gigabytes)).batch_size for gigabytes in (24, 2.0, 1.45)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 8
    with pytest.raises(ValueError, match="micro_batch"):
        divide(settings(), card(1.0))


def test_the_network_is_left_as_it_is() -> None:
    net = build(settings(), trained=True)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    divided(net, Objective(settings(), np.zeros(1, np.int64)).loss, settings(), card(24))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert isinstance(next(net.parameters()), nn.Parameter)


@pytest.mark.parametrize("wish", [3, 16])
def test_a_part_must_divide_the_batch(wish: int) -> None:
    with pytest.raises(ValueError, match=f"micro_batch {wish} must divide batch_size 8"):
        settings(micro_batch=wish)
