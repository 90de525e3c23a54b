"""Draw docs/figures/augmentation.png and augmentation-presets.png: generated chests and what the augmentations make of them.

python -m imaging.augment_figure
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from imaging import augment, figures
from imaging.phantom.plan import cases
from imaging.phantom.radiograph import render
from imaging.resize import resize_image, resize_mask
from imaging.settings import AugmentSettings, PhantomSettings

FOLDER = Path("docs/figures")
SIDE = 256
CHANGED = 5
Image = NDArray[np.uint8]
EASY = PhantomSettings(train=60, difficulty=0.2)
"""Findings that are seen at the size of a stamp."""


def write(folder: Path) -> None:
    """Write both figures, each below 300 KiB."""
    wanted = [case.index for case in cases(EASY, EASY.seed) if case.positive and case.split == "train"][:3]
    chests = [_chest(index) for index in wanted]
    rows = [(image, mask, AugmentSettings()) for image, mask in chests]
    figures.save(draw(rows, ["original", "", ""]), folder / "augmentation.png", dpi=92)
    names = [name for name in get_args(AugmentSettings.model_fields["preset"].annotation) if name != "none"]
    presets = [(*chests[0], AugmentSettings(preset=name)) for name in names]
    figures.save(draw(presets, names), folder / "augmentation-presets.png", dpi=72)


def draw(rows: list[tuple[Image, Image, AugmentSettings]], names: list[str]) -> Figure:
    """One row an image with its mask, uint8 (SIDE, SIDE), and settings: as it is, then changed with the seeds 0, 1, 2 …"""
    columns = CHANGED + 1
    figure, axes = figures.new_figure(1.75 * columns, 1.75 * len(rows) + 0.3, len(rows), columns)
    for number, (image, mask, settings) in enumerate(rows):
        change = augment.Augmentation(settings, SIDE)
        places = axes[number * columns : (number + 1) * columns]
        shown = [(image, mask), *(change(image, mask, CHANGED * number + seed) for seed in range(CHANGED))]
        for panel, (picture, outline) in zip(places, shown, strict=True):
            figures.picture_axes(panel)
            panel.imshow(picture, cmap="gray", vmin=0, vmax=255)
            if outline is not None and outline.any():
                panel.contour(outline, [0.5], colors=[figures.OUTLINE], linewidths=1)
        places[0].set_title(names[number])
    axes[1].set_title("the same image in five epochs")
    return figure


def _chest(index: int) -> tuple[Image, Image]:
    phantom = render(EASY.seed, index, EASY)
    union = np.logical_or.reduce(phantom.masks)
    return resize_image(phantom.pixels, SIDE), resize_mask(union, SIDE)


if __name__ == "__main__":
    write(FOLDER)
