from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from imaging.data import augment
from imaging.data.dataset import Images, as_it_is, item_seed, worker_init
from imaging.prepared import Prepared
from imaging.settings import AugmentSettings


@pytest.fixture
def data(prepared_once):
    return Prepared(prepared_once)


def changing(data: Prepared, size: int = 32, seed: int = 3) -> Images:
    return Images(data, range(13), size, augment.build(AugmentSettings(probability=1), size), seed=seed)


def epochs(images: Images, workers: int, wanted: list[int]) -> list[dict[str, torch.Tensor]]:
    """All items of each epoch, by one loader whose workers live on."""
    extra = {"persistent_workers": True, "worker_init_fn": worker_init} if workers else {}
    loader = DataLoader(images, batch_size=5, num_workers=workers, collate_fn=as_it_is, **extra)
    seen = []
    for epoch in wanted:
        images.set_epoch(epoch)
        batches = list(loader)
        seen.append({key: torch.cat([batch[key] for batch in batches]) for key in batches[0]})
    return seen


def test_an_item(data):
    item = Images(data, [3, 12], None)[0]
    assert item["image"].shape == item["mask"].shape == (1, 32, 32)
    assert item["image"].dtype == item["mask"].dtype == torch.uint8
    np.testing.assert_array_equal(item["image"][0], data.images[3])
    np.testing.assert_array_equal(item["mask"][0], data.mask(3))
    assert (item["label"], item["row"]) == (1, 3)
    assert np.isnan(Images(data, [3, 12], None)[1]["label"])


def test_label_and_row_of_a_batch(data):
    (batch,) = DataLoader(Images(data, [4, 5, 1], masks=False), batch_size=3, collate_fn=as_it_is)
    assert set(batch) == {"image", "label", "row"}
    assert batch["label"].tolist() == [0, 1, 1]
    assert batch["label"].dtype == torch.float32
    assert batch["row"].tolist() == [4, 5, 1]


def test_a_smaller_size_is_the_mean(data):
    item = Images(data, [3], 16)[0]
    mean = data.images[3].reshape(16, 2, 16, 2).astype(float).mean(axis=(1, 3))
    assert np.abs(item["image"][0].numpy() - mean).max() <= 0.5
    assert item["mask"].sum() > 0


def test_a_larger_size_is_refused(data):
    with pytest.raises(
        ValueError, match=r"images of 64 px requested, but the data is prepared at 32 px.*data\.image_size"
    ):
        Images(data, [0], 64)


def test_an_item_can_be_written_without_touching_the_data(data):
    item = Images(data, [3])[0]
    before = data.images[3].copy()
    item["image"] += 1
    np.testing.assert_array_equal(data.images[3], before)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_workers_change_nothing_and_epochs_do(data):
    alone = epochs(changing(data), 0, [0, 1])
    for workers in (1, 3):
        for one, other in zip(alone, epochs(changing(data), workers, [0, 1]), strict=True):
            assert all(torch.equal(one[key], other[key]) for key in ("image", "mask", "row"))
    same = (alone[0]["image"] == alone[1]["image"]).flatten(1).all(1)
    assert not same.any()


def test_a_resume_changes_nothing(data):
    through = epochs(changing(data), 0, [0, 1, 2])[2]
    resumed = epochs(changing(data), 1, [2])[0]
    assert torch.equal(through["image"], resumed["image"])


def test_another_seed_is_another_augmentation(data):
    assert not torch.equal(
        epochs(changing(data), 0, [0])[0]["image"], epochs(changing(data, seed=4), 0, [0])[0]["image"]
    )


def test_the_place_of_a_row_changes_nothing(data):
    change = augment.build(AugmentSettings(probability=1), 32)
    first, second = Images(data, [7, 2], 32, change), Images(data, [1, 2, 7], 32, change)
    assert torch.equal(first[0]["image"], second[2]["image"])


def test_item_seeds_do_not_collide():
    seeds = {item_seed(seed, epoch, row) for seed in range(5) for epoch in range(20) for row in range(50)}
    assert len(seeds) == 5 * 20 * 50
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert item_seed(1, 2, 3) == 6_498_626_229_777_268_288  # the same in all releases
