"""The picture that `predict` writes for a study with a mask: the radiograph, the outline and a caption."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.caption import with_caption
from imaging.outline import COLOUR, draw

SIDE = 1024
"""Longer side of the picture; smaller radiographs stay as they are."""
FILL = 0.12
"""Opacity of the fill: lung markings stay visible through it."""


def overlay(
    grey: NDArray[np.uint8], mask: NDArray[np.bool_], caption: str, side: int = SIDE
) -> NDArray[np.uint8]:
    """RGB uint8 (h + BAR, w, 3) of a radiograph uint8 (H, W) and its mask bool (H, W) with a caption below."""
    scale = min(1.0, side / max(grey.shape))
    if scale < 1:
        size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
        grey = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)
        mask = cv2.resize(mask.view(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) >= 128
    return with_caption(draw(grey, mask, COLOUR, FILL), caption)
