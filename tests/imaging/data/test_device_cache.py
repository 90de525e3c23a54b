from __future__ import annotations

import numpy as np
import pytest
import torch

from imaging.data import augment
from imaging.data.dataset import Images
from imaging.data.device_cache import Resident, place, size
from imaging.prepared import Prepared
from imaging.settings import AugmentSettings

CPU, GPU = torch.device("cpu"), torch.device("cuda")
FUSED = AugmentSettings(engine="fused", probability=1)


@pytest.fixture
def images(prepared_once) -> Images:
    return Images(Prepared(prepared_once), range(13), 16, augment.build(FUSED, 16), seed=4)


@pytest.mark.parametrize("side", [16, 32])
@pytest.mark.parametrize("masks", [True, False])
def test_batches_are_the_same_bit_for_bit(prepared_once, side: int, masks: bool) -> None:
    rows = [7, 2, 12, 3, 5]
    mapped = Images(Prepared(prepared_once), rows, side, augment.build(FUSED, side), seed=4, masks=masks)
    held = Resident(mapped, CPU)
    for epoch in (0, 3):
        mapped.set_epoch(epoch)
        held.set_epoch(epoch)
        one, other = (data.__getitems__([4, 0, 1, 0, 5]) for data in (mapped, held))
        assert set(one) == set(other)
        assert all(torch.equal(one[key].nan_to_num(), other[key].nan_to_num()) for key in one)
    assert not masks or one["mask"].sum() > 0


def test_bytes_are_those_of_images_and_masks(images: Images) -> None:
    positives = int((images.prepared.index["mask_row"] >= 0).sum())
    assert 0 < positives < 13
    assert size(images) == (13 + positives) * 16 * 16


def test_without_a_gpu(images: Images) -> None:
    assert place(images, False, CPU) is images
    assert place(images, "auto", CPU) is images
    with pytest.raises(
        ValueError, match="data_on_device yes: there is no GPU here; use a machine with one, or set"
    ):
        place(images, True, CPU)


@pytest.mark.parametrize(
    ("engine", "workers", "free", "words"),
    [
        ("albumentations", 0, 1 << 30, "set augment.engine to fused"),
        ("fused", 2, 1 << 30, "set workers to 0 instead of 2, or set data_on_device to auto"),
        ("fused", 0, 4000, "a network do not fit into"),
    ],
)
def test_what_speaks_against_it(prepared_once, engine: str, workers: int, free: int, words: str) -> None:
    change = augment.build(AugmentSettings(engine=engine), 16)
    images = Images(Prepared(prepared_once), np.arange(13), 16, change)
    assert place(images, "auto", GPU, free, workers) is images
    with pytest.raises(ValueError, match=words):
        place(images, True, GPU, free, workers)
