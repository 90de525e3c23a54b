"""Draw docs/figures/augmentation.png: generated chests and what the standard augmentation makes of them.

python -m imaging.augment_figure
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from imaging import augment, figures
from imaging.phantom.plan import cases
from imaging.phantom.radiograph import render
from imaging.resize import resize_image, resize_mask
from imaging.settings import AugmentSettings, PhantomSettings

PATH = Path("docs/figures/augmentation.png")
SIDE = 256
CHANGED = 5
EASY = PhantomSettings(train=60, difficulty=0.2)
"""Findings that are seen at the size of a stamp."""


def main() -> None:
    """Write the figure."""
    wanted = [case.index for case in cases(EASY, EASY.seed) if case.positive and case.split == "train"][:3]
    figures.save(draw([_chest(index) for index in wanted]), PATH, dpi=110)


def draw(chests: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> Figure:
    """One row a chest (image and mask, uint8 (SIDE, SIDE)): as it is, then changed with the seeds 0, 1, 2 …"""
    change = augment.build(AugmentSettings(), SIDE)
    assert change is not None
    columns = CHANGED + 1
    figure, axes = figures.new_figure(1.75 * columns, 1.75 * len(chests) + 0.3, len(chests), columns)
    for number, (image, mask) in enumerate(chests):
        row = axes[number * columns : (number + 1) * columns]
        shown = [(image, mask), *(change(image, mask, CHANGED * number + seed) for seed in range(CHANGED))]
        for panel, (picture, outline) in zip(row, shown, strict=True):
            figures.picture_axes(panel)
            panel.imshow(picture, cmap="gray", vmin=0, vmax=255)
            panel.contour(outline, [0.5], colors=[figures.OUTLINE], linewidths=1)
    axes[0].set_title("original")
    axes[1].set_title("the same image in five epochs")
    return figure


def _chest(index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    phantom = render(EASY.seed, index, EASY)
    union = np.logical_or.reduce(phantom.masks)
    return resize_image(phantom.pixels, SIDE), resize_mask(union, SIDE)


if __name__ == "__main__":
    main()
