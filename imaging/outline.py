"""Trace the outline of a mask as polygons, and draw it on a radiograph."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

COLOUR = "#ffb000"
"""imaging.plotting.OUTLINE, repeated here to avoid importing matplotlib."""

MAX_VERTICES = 8_000
"""Vertices of a polygon: explicit VR limits GraphicData to 65,534 bytes, 8,191 points (PS3.5 7.1.2)."""
MAX_CORNERS = 200_000
"""Corners of a mask that is traced at full resolution; bounds time and number of polygons."""

BLOCK = 512
"""Rows processed at once, so that a large mask is not copied as a whole."""


def polygons(mask: NDArray[np.bool_], tolerance: float = 0.5) -> list[NDArray[np.float32]]:
    """Trace all components of a mask bool (H, W) and their holes as closed polygons, within `tolerance` pixels.

    A mask of more than MAX_CORNERS corners is noise: its resolution is halved until it has fewer, where a pixel is set if any of
    its four was. Time is linear in the number of pixels.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return []
    top, left = int(rows[0]), int(columns[0])
    part = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    scale = 1
    while corners(part) > MAX_CORNERS:
        part, scale = _halved(part), 2 * scale
    return [(polygon * scale + (left, top)).astype(np.float32) for polygon in _traced(part, tolerance)]


def corners(mask: NDArray[np.bool_]) -> int:
    """Count the corners of the outline of a mask bool (H, W)."""
    framed, count = np.pad(mask, 1), 0
    for top in range(0, len(framed) - 1, BLOCK):
        block = framed[top : top + BLOCK + 1]
        down, across = (
            block[1:] ^ block[:-1],
            block[:, 1:] ^ block[:, :-1],
        )  # edges between rows, between columns
        count += int(np.count_nonzero((down[:, 1:] | down[:, :-1]) & (across[1:] | across[:-1])))
    return count


def _halved(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Halve a mask's resolution: set where any of four pixels is; odd sides are padded with zeros."""
    even = np.pad(mask, [(0, side % 2) for side in mask.shape])
    return np.asarray(even[::2, ::2] | even[1::2, ::2] | even[::2, 1::2] | even[1::2, 1::2])


def _traced(mask: NDArray[np.bool_], tolerance: float) -> list[NDArray[np.float32]]:
    """Trace a mask with few corners.

    It is enlarged twofold first, so that polygons follow pixel edges and a single pixel is a polygon as well.
    """
    double = cv2.copyMakeBorder(
        mask.astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1), 1, 1, 1, 1, cv2.BORDER_CONSTANT
    )
    # RETR_LIST: assigning holes to components, as RETR_CCOMP does, takes time quadratic in the holes
    found, _ = cv2.findContours(double, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    # the centre of doubled pixel k, behind a border of one, lies at (k - 1 + 1/2) / 2
    return [
        ((_thin(np.asarray(points, np.int32), 2 * tolerance) - 0.5) / 2).astype(np.float32)
        for points in found
    ]


def _thin(points: NDArray[np.int32], tolerance: float) -> NDArray[np.float32]:
    """Simplify a polygon (K, 2) within the tolerance, to at least three and at most MAX_VERTICES vertices."""
    thin = cv2.approxPolyDP(points, tolerance, closed=True)
    while len(thin) > MAX_VERTICES:
        tolerance *= 2
        thin = cv2.approxPolyDP(points, tolerance, closed=True)
    return (thin if len(thin) >= 3 else points).reshape(-1, 2).astype(np.float32)


def draw(
    grey: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    colour: str,
    opacity: float = 0.0,
    width: int | None = None,
) -> NDArray[np.uint8]:
    """Draw the outline of a mask bool (H, W) on a radiograph uint8 (H, W) or RGB (H, W, 3); return RGB.

    colour: #rrggbb. opacity: of the fill, 0 to 1. width: of the line in pixels; by default 1/500 of the longer side.
    """
    picture = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB) if grey.ndim == 2 else grey.copy()
    rgb = tuple(int(colour[k : k + 2], 16) for k in (1, 3, 5))
    if opacity:
        picture[mask] = np.rint((1 - opacity) * picture[mask] + opacity * np.array(rgb)).astype(np.uint8)
    width = width or max(1, round(max(grey.shape) / 500))
    # OpenCV's origin is the centre of the first pixel; coordinates in 1/16 pixel
    corners = [np.rint((polygon - 0.5) * 16).astype(np.int32) for polygon in polygons(mask)]
    cv2.polylines(picture, corners, True, rgb, width, cv2.LINE_AA, shift=4)
    return np.asarray(picture, np.uint8)
