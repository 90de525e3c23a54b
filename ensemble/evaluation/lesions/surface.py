"""Distances between two contours in millimetres: surface Dice and the 95th percentile of the Hausdorff distance.

Nikolov et al. 2021 (surface Dice), Maier-Hein et al. 2024 (*Metrics Reloaded*, HD95). A contour is the pixels of a mask that
touch its outside (4 neighbours); each counts the same.
"""

from __future__ import annotations

import cv2
import numpy as np

from experiments.statistics.arrays import Bools, Floats

TOLERANCE_MM = 2.0
"""Contours nearer than this count as equal in the surface Dice."""


def contour(mask: Bools) -> Bools:
    """Pixels of a mask bool (H, W) that touch its outside; the image's edge counts as outside."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    inside = cv2.erode(mask.astype(np.uint8), cross, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return mask & (inside == 0)


def distances(predicted: Bools, true: Bools, spacing: float) -> tuple[Floats, Floats]:
    """Distances in mm from each contour pixel of either mask (not empty) to the other's contour; spacing: mm per pixel."""
    rows, columns = (
        np.flatnonzero((predicted | true).any(axis=1)),
        np.flatnonzero((predicted | true).any(axis=0)),
    )
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    a, b = (np.pad(contour(np.pad(mask[part], 1)), 1) for mask in (predicted, true))
    to_a, to_b = (
        cv2.distanceTransform((~of).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for of in (a, b)
    )
    return to_b[a].astype(np.float64) * spacing, to_a[b].astype(np.float64) * spacing


def surface_dice(there: Floats, back: Floats, tolerance: float = TOLERANCE_MM) -> float:
    """Share of both contours that lies within `tolerance` mm of the other, from `distances`."""
    near = np.count_nonzero(there <= tolerance) + np.count_nonzero(back <= tolerance)
    return float(near / (len(there) + len(back)))


def hd95(there: Floats, back: Floats) -> float:
    """The larger of the 95th percentiles of both directions, in mm, from `distances`."""
    return float(max(np.percentile(there, 95), np.percentile(back, 95)))
