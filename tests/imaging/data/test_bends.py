"""The winners' distortions on the device beside albumentations' own maps and OpenCV's remapping."""

from __future__ import annotations

import albumentations as A
import cv2
import numpy as np
import pytest
import torch
from albumentations.augmentations.geometric import functional as reference

from imaging.data import augment_batch, bends
from imaging.data.augment_batch import Fused
from imaging.settings import AugmentSettings

SIDE = 96


def picture() -> np.ndarray:
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    return np.rint(60 + 90 * rows + 60 * np.sin(5 * columns) ** 2).astype(np.uint8)


def whole() -> torch.Tensor:
    """Every pixel's own place (1, S, S, 2)."""
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    return torch.stack([columns, rows], dim=-1).float()[None]


def straight() -> torch.Tensor:
    return torch.arange(SIDE).float().repeat(1, 2, 1)


@pytest.mark.parametrize("k", [-2.0, -0.7, 1.5])
def test_the_optical_distortion_is_albumentations_own(k: float) -> None:
    x, y = (axis - 0.5 for axis in reference.get_camera_matrix_distortion_maps((SIDE, SIDE), k))
    found = bends.bent(whole(), torch.tensor([[k, 0, 0, 0]]), straight())[0].numpy()
    mirrored = bends.mirrored(torch.from_numpy(np.stack([x, y], -1)), SIDE).numpy()
    np.testing.assert_allclose(found, mirrored, atol=2e-3)


@pytest.mark.parametrize("side", [96, 100, 512])
def test_the_grid_is_albumentations_own(side: int) -> None:
    widths = np.random.default_rng(side).uniform(0.7, 1.3, (2, 6))
    steps = reference.normalize_grid_distortion_steps((side, side), 5, list(widths[0]), list(widths[1]))
    x, y = reference.generate_grid((side, side), steps["steps_x"], steps["steps_y"], 5)
    np.testing.assert_allclose(bends.axis(widths[0], side), x[0], atol=side * 2e-6)
    np.testing.assert_allclose(bends.axis(widths[1], side), y[:, 0], atol=side * 2e-6)


def test_elastic_displacements_are_as_large_and_as_smooth_as_albumentations() -> None:
    change = A.ElasticTransform(alpha=bends.ALPHA, sigma=bends.SIGMA, p=1)
    theirs = []
    for seed in range(8):
        change.set_random_seed(seed)
        maps = change.get_params_dependent_on_data({"shape": (256, 256)}, {})
        theirs.append(maps["map_x"] - np.arange(256))
    ours = bends.field(256)[0]
    assert ours.std() == pytest.approx(np.std(theirs), rel=0.1)
    assert np.diff(ours, axis=1).std() == pytest.approx(np.diff(theirs, axis=2).std(), rel=0.1)


def test_borders_are_mirrored_as_by_opencv() -> None:
    shift = np.float32([[1, 0, 30], [0, 1, -17]])
    wanted = cv2.warpAffine(picture(), shift, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT_101)
    matrix = torch.tensor([[[1.0, 0, -60 / SIDE], [0, 1, 34 / SIDE]]])
    drawn = {
        "matrix": matrix, "lut": torch.arange(256, dtype=torch.uint8)[None], "noise": torch.zeros(1, 3),
        "bend": torch.zeros(1, 4), "axes": straight(),
    }  # fmt: skip
    found, _ = augment_batch.apply(torch.from_numpy(picture())[None, None], None, drawn)
    np.testing.assert_allclose(found[0, 0].numpy().astype(int), wanted.astype(int), atol=1)


def winners(seeds: range) -> dict[str, torch.Tensor]:
    return Fused(AugmentSettings(preset="winners", engine="fused"), SIDE).draw(seeds)


def test_shares_of_the_changes() -> None:
    drawn = winners(range(2000))
    grid = (drawn["axes"] != straight()).any(dim=(1, 2))
    optical, elastic = drawn["bend"][:, 0] != 0, drawn["bend"][:, 1] != 0
    for share in (grid, optical, elastic):
        assert float(share.float().mean()) == pytest.approx(0.1, abs=0.02)  # a third of 0.3
    toned = (drawn["lut"] != torch.arange(256)).any(dim=1)
    assert float(toned.float().mean()) == pytest.approx(0.3, abs=0.04)
    assert not (grid & optical | grid & elastic | optical & elastic).any()


def test_image_and_mask_stay_together() -> None:
    """An image that is white where its mask is stays so, but for a pixel of the border between nearest and linear."""
    mask = torch.zeros(64, 1, SIDE, SIDE, dtype=torch.uint8)
    mask[:, :, 20:60, 30:70] = 1
    drawn = winners(range(64))
    drawn["lut"] = torch.arange(256, dtype=torch.uint8).repeat(64, 1)
    image, inside = augment_batch.apply(mask * 255, mask, drawn)
    assert inside is not None
    assert set(inside.unique().tolist()) == {0, 1}
    assert float(((image >= 128) != (inside == 1)).float().mean()) < 0.01
    assert float((inside != mask).float().mean()) > 0.03
