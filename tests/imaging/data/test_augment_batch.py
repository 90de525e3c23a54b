"""The batched engine beside albumentations: the same pixels from both of its ways, the same distribution as the presets'."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from imaging.data import augment, augment_batch
from imaging.data.augment_batch import PRESETS, Fused, Tone
from imaging.data.dataset import Images, as_it_is
from imaging.prepared import Prepared
from imaging.settings import AugmentSettings

SIDE = 64
DRAWS = 400


def picture() -> np.ndarray:
    """Smooth, without symmetry, bright enough everywhere for a threshold to find its border."""
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    return np.rint(60 + 90 * rows + 60 * np.sin(5 * columns) ** 2).astype(np.uint8)


def batch(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    image = torch.from_numpy(picture())[None, None].repeat(count, 1, 1, 1)
    mask = torch.zeros_like(image)
    mask[:, :, 20:36, 8:40] = 1
    return image, mask


def engine(preset: str = "standard", probability: float = 1.0) -> Fused:
    own = {"probability": probability} if preset == "standard" else {}
    return Fused(AugmentSettings(preset=preset, engine="fused", **own), SIDE)


@pytest.mark.parametrize("preset", PRESETS)
def test_both_ways_give_the_same_pixels(preset: str) -> None:
    image, mask = batch(24)
    drawn = engine(preset).draw(range(24))
    here, there = augment_batch.apply(image, mask, drawn), augment_batch.by_torch(image, mask, drawn)
    for mine, other in zip(here, there, strict=True):
        assert mine.dtype == other.dtype == torch.uint8
        assert mine.shape == image.shape
    difference = (here[0].int() - there[0].int()).abs().float()
    assert float(difference.mean()) < 0.5  # OpenCV weighs neighbours in 32nds of a pixel
    assert float((here[1] != there[1]).float().mean()) < 2e-3  # type: ignore[attr-defined]


def test_a_flip_alone_mirrors_exactly() -> None:
    image, mask = batch(1)
    drawn = {
        "matrix": torch.tensor([[[-1.0, 0, 0], [0, 1, 0]]]),
        "lut": torch.arange(256, dtype=torch.uint8)[None],
        "noise": torch.zeros(1, 3),
    }
    for way in (augment_batch.apply, augment_batch.by_torch):
        flipped, inside = way(image, mask, drawn)
        assert torch.equal(flipped, image.flip(-1))
        assert inside is not None
        assert torch.equal(inside, mask.flip(-1))


@pytest.mark.parametrize(
    ("matrix", "place"), [([[1, 0, 0.25], [0, 1, 0]], (20, 0)), ([[1, 0, 0], [0, 1, -0.5]], (36, 8))]
)
def test_a_shift_by_a_share_of_the_side(matrix: list[list[float]], place: tuple[int, int]) -> None:
    """A quarter of the half side is 8 pixels: the mask's corner (20, 8) comes 8 columns to the left, or 16 rows down."""
    image, mask = batch(1)
    drawn = {**engine().draw([0]), "matrix": torch.tensor([matrix], dtype=torch.float32)}
    for way in (augment_batch.apply, augment_batch.by_torch):
        moved = way(image, mask, drawn)[1]
        assert moved is not None
        rows, columns = np.nonzero(moved[0, 0].numpy())
        assert (rows.min(), columns.min()) == place


@pytest.mark.parametrize(
    ("tone", "grey", "new"),
    [
        (Tone(gamma=(2, 2)), 128, 64),
        (Tone(contrast=(1.5, 1.5)), 100, 150),
        (Tone(brightness=(0.5, 0.5)), 200, 255),
        (Tone(), 7, 7),
    ],
)
def test_tones_by_hand(tone: Tone, grey: int, new: int) -> None:
    assert augment_batch.table([tone], np.random.default_rng(0))[grey] == new


def test_the_result_depends_on_the_seed_alone() -> None:
    image, mask = batch(3)
    together, alone = engine().draw([5, 6, 7]), engine().draw([6])
    assert torch.equal(
        augment_batch.apply(image, mask, together)[0][1],
        augment_batch.apply(image[:1], mask[:1], alone)[0][0],
    )
    assert not torch.equal(*(engine().draw([seed])["matrix"] for seed in (5, 6)))


def facts(images: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """What a change does, by numbers (N, 5): the mask's centre and area, the median grey inside, and the noise."""
    found = []
    for image, mask in zip(images, masks, strict=True):
        rows, columns = np.nonzero(mask)
        steps = np.diff(image[24:40, 24:40].astype(float), n=2, axis=0)
        found.append([rows.mean(), columns.mean(), len(rows), np.median(image[mask > 0]), steps.std()])
    return np.array(found)


@pytest.mark.parametrize(
    ("preset", "probability"),
    [("standard", 1.0), ("standard", 0.5), ("baseline", 0.5), ("mmsegmentation", 0.5), ("winners", 0.5)],
)
def test_the_distribution_is_that_of_albumentations(preset: str, probability: float) -> None:
    image, mask = batch(DRAWS)
    ours, inside = augment_batch.apply(image, mask, engine(preset, probability).draw(range(DRAWS)))
    assert inside is not None
    own = {"probability": probability} if preset == "standard" else {}
    change = augment.Augmentation(AugmentSettings(preset=preset, **own), SIDE)
    theirs = [change(image[0, 0].numpy(), mask[0, 0].numpy(), seed) for seed in range(DRAWS)]
    mine = facts(ours[:, 0].numpy(), inside[:, 0].numpy())
    other = facts(*(np.stack(part) for part in zip(*theirs, strict=True)))
    for name, one, two in zip(("row", "column", "area", "grey", "noise"), mine.T, other.T, strict=True):
        levels = np.sort(np.concatenate([one, two]) + 1e-3)
        apart = np.abs([(one < level).mean() - (two < level).mean() for level in levels]).max()
        # Kolmogorov and Smirnov: 1.95 sqrt(2 / n) is exceeded once in a thousand times by equal distributions; and a little
        # for values that roundings move together
        assert apart < 1.95 * (2 / DRAWS) ** 0.5 + 0.03, (name, apart)


def test_images_of_a_batch_bring_what_was_drawn(prepared_once) -> None:
    settings = AugmentSettings(engine="fused", probability=1)
    images = Images(Prepared(prepared_once), [3, 7, 2], 32, augment.build(settings, 32), seed=1)
    loader = torch.utils.data.DataLoader(images, batch_size=3, collate_fn=as_it_is)
    (first,) = loader
    assert first["matrix"].shape == (3, 2, 3)
    assert first["lut"].shape == (3, 256)
    np.testing.assert_array_equal(first["image"][0, 0], images.prepared.images[3])
    images.set_epoch(1)
    (second,) = loader
    assert not torch.equal(first["matrix"], second["matrix"])
    images.set_epoch(0)
    assert torch.equal(images[1]["matrix"], first["matrix"][1])


def test_a_preset_that_it_does_not_know() -> None:
    known = set(AugmentSettings.model_fields["preset"].annotation.__args__)
    assert set(PRESETS) | {"cad", "none"} == known
    with pytest.raises(ValidationError, match="engine 'fused' has no preset 'cad'"):
        AugmentSettings(preset="cad", engine="fused")
