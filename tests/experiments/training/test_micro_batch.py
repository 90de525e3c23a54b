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
from experiments.training.micro_batch import divided, resident_bytes
from imaging.data import augment, device_cache
from imaging.data.dataset import Images
from imaging.prepared import Prepared
from segmentation.architectures import build
from segmentation.objective import Objective
from tests.imaging.conftest import make_prepared

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


def test_images_in_the_gpus_memory_leave_less_for_a_pass() -> None:
    given, gigabyte = settings(), 10**9
    net, loss = build(given, trained=True), Objective(given, np.zeros(1, np.int64)).loss
    sizes = [divided(net, loss, given, card(2.0), held).batch_size for held in (0, gigabyte // 2)]
    assert sizes[1] < sizes[0]
    with pytest.raises(ValueError, match=r"1\.5 of them images.*set data_on_device to false"):
        divided(net, loss, given, card(2.0), 3 * gigabyte // 2)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return Prepared(make_prepared(tmp_path_factory.mktemp("images")))


@pytest.mark.parametrize(
    ("changes", "hardware", "parts"),
    [
        ({}, card(24), 2),
        ({}, CPU, 0),
        ({"data_on_device": False}, card(24), 0),
        ({"workers": 2}, card(24), 0),
        ({"workers": "auto"}, card(24), 2),
        # albumentations changes the training images on the processor
        ({"augment": {"engine": "albumentations"}}, card(24), 1),
        # a quarter of 30 kB is less than the training images and more than those of validation
        ({}, card(30e-6), 1),
    ],
)
def test_bytes_of_images_are_those_that_are_placed(
    prepared: Prepared, changes: dict[str, Any], hardware: Hardware, parts: int
) -> None:
    given = settings(**{"image_size": 32, "augment": {"engine": "fused"}, **changes})
    change = augment.build(given.augment, 32)
    sets = Images(prepared, range(9), 32, change), Images(prepared, [9, 10], 32)
    sizes = [device_cache.size(images) for images in sets]
    assert 4 * sizes[0] > 30_000 > 4 * sizes[1]
    assert resident_bytes(sets, given, hardware) == [0, sizes[1], sum(sizes)][parts]


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
