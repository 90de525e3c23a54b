"""The outline of a mask: as polygons in pixel coordinates, and drawn over a radiograph."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Polygon = NDArray[np.float32]
"""Corners (K, 2) as x, y, the last not repeated; 0, 0 is the upper left corner of the first pixel and 1, 1 its lower right."""

COLOUR = "#ffb000"
"""A finding on a radiograph: imaging.plotting.OUTLINE, without matplotlib."""

MOST_POINTS = 8_000
"""Of a polygon: DICOM's explicit encoding holds 65,534 bytes of graphic data, 8,191 points (PS3.5 7.1.2)."""
MOST_CORNERS = 200_000
"""Of a mask that is traced as it is; a coast line of 50,000 pixels has fewer. Bounds the polygons and the time."""

BLOCK = 512
"""Rows that are looked at together, so that a large mask needs no copies of its size."""


def polygons(mask: Mask, tolerance: float = 0.5) -> list[Polygon]:
    """Closed outlines of all parts of a mask bool (H, W), and of holes in them; off by `tolerance` pixels at most.

    A mask of more than MOST_CORNERS corners is noise: it is halved until it has fewer, where a pixel is set if any of its
    four was, and the outline is as much coarser. Time is linear in the pixels.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return []
    top, left = int(rows[0]), int(columns[0])
    part = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    scale = 1
    while corners(part) > MOST_CORNERS:
        part, scale = _halved(part), 2 * scale
    return [(polygon * scale + (left, top)).astype(np.float32) for polygon in _traced(part, tolerance)]


def corners(mask: Mask) -> int:
    """Number of points at which the outline of a mask bool (H, W) turns."""
    framed, count = np.pad(mask, 1), 0
    for top in range(0, len(framed) - 1, BLOCK):
        block = framed[top : top + BLOCK + 1]
        down, across = (
            block[1:] ^ block[:-1],
            block[:, 1:] ^ block[:, :-1],
        )  # edges between rows, between columns
        count += int(np.count_nonzero((down[:, 1:] | down[:, :-1]) & (across[1:] | across[:-1])))
    return count


def _halved(mask: Mask) -> Mask:
    """A mask at half its size: any of four pixels; odd sides get a row or column of nothing."""
    even = np.pad(mask, [(0, side % 2) for side in mask.shape])
    return np.asarray(even[::2, ::2] | even[1::2, ::2] | even[::2, 1::2] | even[1::2, 1::2])


def _traced(mask: Mask, tolerance: float) -> list[Polygon]:
    """Polygons of a mask whose corners are few.

    Traced at twice its size: a pixel then has corners of its own, and a single one is a polygon too.
    """
    double = cv2.copyMakeBorder(
        mask.astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1), 1, 1, 1, 1, cv2.BORDER_CONSTANT
    )
    # RETR_LIST: telling which hole lies in which part, as RETR_CCOMP does, takes time that grows with the square of the holes
    found, _ = cv2.findContours(double, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    # the centre of doubled pixel k, behind a border of one, lies at (k - 1 + 1/2) / 2
    return [
        ((_thin(np.asarray(points, np.int32), 2 * tolerance) - 0.5) / 2).astype(np.float32)
        for points in found
    ]


def _thin(points: NDArray[np.int32], tolerance: float) -> Polygon:
    """Fewer points (K, 2) within the tolerance, but three at least and no more than a file can hold."""
    thin = cv2.approxPolyDP(points, tolerance, closed=True)
    while len(thin) > MOST_POINTS:
        tolerance *= 2
        thin = cv2.approxPolyDP(points, tolerance, closed=True)
    return (thin if len(thin) >= 3 else points).reshape(-1, 2).astype(np.float32)


def draw(
    grey: NDArray[np.uint8], mask: Mask, colour: str, opacity: float = 0.0, width: int | None = None
) -> NDArray[np.uint8]:
    """A radiograph uint8 (H, W), or a drawn one (H, W, 3), as RGB with a mask bool (H, W) outlined.

    opacity: how much of the colour fills the mask.
    colour: as #rrggbb; width of the line in pixels, by default a 500th of the longer side and at least 1.
    """
    picture = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB) if grey.ndim == 2 else grey.copy()
    rgb = tuple(int(colour[k : k + 2], 16) for k in (1, 3, 5))
    if opacity:
        picture[mask] = np.rint((1 - opacity) * picture[mask] + opacity * np.array(rgb)).astype(np.uint8)
    width = width or max(1, round(max(grey.shape) / 500))
    # OpenCV counts from the first pixel's centre, in 1/16 here
    corners = [np.rint((polygon - 0.5) * 16).astype(np.int32) for polygon in polygons(mask)]
    cv2.polylines(picture, corners, True, rgb, width, cv2.LINE_AA, shift=4)
    return np.asarray(picture, np.uint8)
