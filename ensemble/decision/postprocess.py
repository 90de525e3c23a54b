"""Post-processing of a mask: remove small parts, fill holes, dilate. All sizes are in reference pixels.

A size means the same lesion on every image: areas are scaled by the ratio of pixels, lengths by its root.
"""

from __future__ import annotations

import cv2
import numpy as np
from pydantic import Field

from experiments.statistics.arrays import Bools
from imaging.io.config import Settings


class PostProcessing(Settings):
    """Post-processing after a mask is cut; none by default."""

    min_component: int = Field(default=0, ge=0)
    """Connected components (8 neighbours) of fewer reference pixels are removed."""
    fill_holes: bool = False
    """Fill enclosed holes."""
    dilate: int = Field(default=0, ge=0)
    """Grow by a disk of this radius in reference pixels."""
    reference: int = Field(default=1024**2, ge=1)
    """Pixels of the reference image."""

    @property
    def idle(self) -> bool:
        """Whether nothing is done."""
        return not (self.min_component or self.fill_holes or self.dilate)

    def __call__(self, mask: Bools) -> Bools:
        """The processed mask bool (H, W)."""
        if self.idle or not mask.any():
            return mask
        ratio = mask.size / self.reference
        if self.min_component:
            mask = without_small_parts(mask, self.min_component * ratio)
        if self.fill_holes:
            mask = filled(mask)
        if self.dilate:
            mask = grown(mask, round(self.dilate * ratio**0.5))
        return mask


def without_small_parts(mask: Bools, least: float) -> Bools:
    """Remove connected parts of fewer than `least` pixels."""
    count, part, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= least
    keep[0] = False  # the background
    return keep[part] if count > 1 else mask


def filled(mask: Bools) -> Bools:
    """Fill holes: background that does not reach the image's edge (4 neighbours)."""
    outside = np.pad(~mask, 1, constant_values=True).view(np.uint8)
    _, part = cv2.connectedComponents(outside, connectivity=4)
    return np.asarray(part != part[0, 0])[1:-1, 1:-1]


def grown(mask: Bools, radius: int) -> Bools:
    """Dilate by a disk."""
    if radius == 0:
        return mask
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return cv2.dilate(mask.view(np.uint8), disk).view(np.bool_)
