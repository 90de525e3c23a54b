"""Figures of the augmentation presets on generated chests, and of both augmentation engines side by side."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from imaging import plotting
from imaging.data import augment, augment_batch
from imaging.phantom.chest.render import render
from imaging.phantom.cohort import cases
from imaging.resize import resize_image, resize_mask
from imaging.settings import AugmentSettings, PhantomSettings

FOLDER = Path("docs/figures")
SIDE = 256
CHANGED = 5
DRAWS = 1000
Image = NDArray[np.uint8]
EASY = PhantomSettings(train=60, difficulty=0.2)
"""Phantoms whose findings are visible at thumbnail size."""


def write(folder: Path) -> None:
    """Write the figures, each below 300 KiB."""
    wanted = [case.index for case in cases(EASY, EASY.seed) if case.positive and case.split == "train"][:3]
    chests = [_chest(index) for index in wanted]
    rows = [(image, mask, AugmentSettings()) for image, mask in chests]
    plotting.save(draw(rows, ["original", "", ""]), folder / "augmentation.png", dpi=92)
    names = [name for name in get_args(AugmentSettings.model_fields["preset"].annotation) if name != "none"]
    presets = [(*chests[0], AugmentSettings(preset=name)) for name in names]
    plotting.save(draw(presets, names), folder / "augmentation-presets.png", dpi=72)
    plotting.save(engines(*chests[0]), folder / "augmentation-fused.png", dpi=80)


def draw(rows: list[tuple[Image, Image, AugmentSettings]], names: list[str]) -> Figure:
    """One row per image with its mask, uint8 (SIDE, SIDE), and settings: unchanged, then augmented with seeds 0, 1, 2 …"""
    columns = CHANGED + 1
    figure, axes = plotting.new_figure(1.75 * columns, 1.75 * len(rows) + 0.3, len(rows), columns)
    for number, (image, mask, settings) in enumerate(rows):
        change = augment.Augmentation(settings, SIDE)
        places = axes[number * columns : (number + 1) * columns]
        shown = [(image, mask), *(change(image, mask, CHANGED * number + seed) for seed in range(CHANGED))]
        for panel, (picture, outline) in zip(places, shown, strict=True):
            plotting.picture_axes(panel)
            panel.imshow(picture, cmap="gray", vmin=0, vmax=255)
            if outline is not None and outline.any():
                panel.contour(outline, [0.5], colors=[plotting.OUTLINE], linewidths=1)
        places[0].set_title(names[number])
    axes[1].set_title("the same image in five epochs")
    return figure


def engines(image: Image, mask: Image) -> Figure:
    """Top: one chest in four epochs by each engine. Bottom: the distribution of each engine's changes over 1,000 draws."""
    names = ("albumentations", "fused")
    settings = AugmentSettings(probability=1)
    changed = [_albumentations(image, mask, settings), _fused(image, mask, settings)]
    figure, axes = plotting.new_figure(9, 6.6, 3, 4)
    for row, (name, (images, masks)) in enumerate(zip(names, changed, strict=True)):
        for place, panel in enumerate(axes[4 * row : 4 * row + 4]):
            plotting.picture_axes(panel)
            panel.imshow(images[place], cmap="gray", vmin=0, vmax=255)
            panel.contour(masks[place], [0.5], colors=[plotting.OUTLINE], linewidths=1)
        axes[4 * row].set_title(f"{name}, four epochs")
    measured = [_measures(*pair) for pair in changed]
    for (what, values), panel in zip(measured[0].items(), axes[8:], strict=True):
        both = [values, measured[1][what]]
        panel.hist(both, 25, histtype="step", color=list(plotting.SERIES[:2]), label=list(names))
        panel.set(title=what, yticks=[])
    axes[8].legend(fontsize=7, loc="lower center")
    return figure


def _albumentations(image: Image, mask: Image, settings: AugmentSettings) -> tuple[Image, Image]:
    change = augment.Augmentation(settings, SIDE)
    made = [change(image, mask, seed) for seed in range(DRAWS)]
    return np.stack([image for image, _ in made]), np.stack([mask for _, mask in made if mask is not None])


def _fused(image: Image, mask: Image, settings: AugmentSettings) -> tuple[Image, Image]:
    images, masks = (torch.from_numpy(one).repeat(DRAWS, 1, 1, 1) for one in (image, mask))
    changed, inside = augment_batch.apply(
        images, masks, augment_batch.Fused(settings, SIDE).draw(range(DRAWS))
    )
    assert inside is not None
    return changed[:, 0].numpy(), inside[:, 0].numpy()


def _measures(images: Image, masks: Image) -> dict[str, NDArray[np.float64]]:
    """Position and size of the finding, and brightness of the centre of the chest, for each image."""
    places = [np.nonzero(mask) for mask in masks]
    return {
        "finding's row, px": np.array([rows.mean() for rows, _ in places]),
        "finding's column, px": np.array([columns.mean() for _, columns in places]),
        "finding's area, px": np.array([float(len(rows)) for rows, _ in places]),
        "median grey": np.array([np.median(image) for image in images]),
    }


def _chest(index: int) -> tuple[Image, Image]:
    phantom = render(EASY.seed, index, EASY)
    union = np.logical_or.reduce(phantom.masks)
    return resize_image(phantom.pixels, SIDE), resize_mask(union, SIDE)
