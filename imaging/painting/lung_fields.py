"""Find the lung fields of a frontal radiograph, without a network: the two large dark regions inside the body.

Thresholds at rising quantiles of the body's grey levels; on each side, of all regions with a lung's size, place and shape, the
one with the largest area times solidity^6 is taken. Opaque or hazy lungs are not found, which is better here than a wrong outline
(docs/painting.md gives their share).
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.resize import resize_image

SIDE = 256
"""Pixels at which the search is made."""
QUANTILES = range(20, 62, 3)
"""Thresholds, in percent of the body's pixels."""
AREA = (0.045, 0.2)
"""Least and largest area of one lung, as shares of the picture."""
SOLIDITY = 0.8
"""Least share of its convex hull that a lung fills."""
LEFT, RIGHT = -1, 1
"""Sides of the picture, not of the patient."""

Layer = NDArray[Any]
"""uint8 0/1, or grey levels; Any, since OpenCV's type hints are no narrower."""


def lung_fields(pixels: NDArray[np.uint8]) -> dict[int, Layer]:
    """Fields uint8 0/1 (256, 256) by side of the picture, of a radiograph uint8 (H, W), brighter = denser; only what is found."""
    grey: Layer = cv2.GaussianBlur(resize_image(pixels, SIDE).astype(np.float32), (0, 0), 2.5)
    body = _body(grey)
    inside = grey[body > 0]
    if inside.size < 0.08 * SIDE**2:
        return {}
    found: dict[int, Layer] = {}
    best = {LEFT: 0.0, RIGHT: 0.0}
    for quantile in QUANTILES:
        dark = ((grey < np.percentile(inside, quantile)) & (body > 0)).astype(np.uint8)
        dark = cv2.morphologyEx(
            dark, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
        ).astype(np.uint8)
        number, labels, boxes, centres = cv2.connectedComponentsWithStats(dark)
        for k in range(1, number):
            side = LEFT if centres[k][0] < SIDE / 2 else RIGHT
            if not _placed_like_a_lung(boxes[k], centres[k], side):
                continue
            field, solidity = _filled(labels == k)
            value = float(boxes[k][cv2.CC_STAT_AREA]) * solidity**6
            if solidity >= SOLIDITY and value > best[side]:
                best[side], found[side] = value, field
    return found


def _body(grey: Layer) -> Layer:
    """The largest region that is not black, with its holes, a little eroded."""
    bright = (grey > max(12.0, 0.18 * float(np.percentile(grey, 50)))).astype(np.uint8)
    number, labels, boxes, _ = cv2.connectedComponentsWithStats(bright)
    if number < 2:
        return np.zeros_like(bright)
    body = (labels == 1 + int(np.argmax(boxes[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)
    holes = cv2.connectedComponents(1 - body)[1]
    outside = np.unique(np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]]))
    body[(holes > 0) & ~np.isin(holes, outside)] = 1
    return cv2.erode(body, np.ones((9, 9), np.uint8)).astype(np.uint8)


def _placed_like_a_lung(box: NDArray[Any], centre: NDArray[Any], side: int) -> bool:
    x, y, width, height, area = (float(value) / SIDE for value in box)
    area /= SIDE
    across, down = (float(value) / SIDE for value in centre)
    return (
        AREA[0] < area < AREA[1]
        and min(x, y) > 0.008
        and max(x + width, y + height) < 0.992
        and 0.17 < across < 0.83
        and 0.2 < down < 0.72
        and (x + width < 0.56 if side == LEFT else x > 0.44)
        and height > max(0.3, width)
        and width > 0.14
        and y < 0.42
    )


def _filled(region: NDArray[np.bool_]) -> tuple[Layer, float]:
    """The region without holes, and its solidity."""
    outlines, _ = cv2.findContours(region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(outlines, key=cv2.contourArea)
    field = np.zeros(region.shape, np.uint8)
    cv2.drawContours(field, [outline], -1, 1, -1)
    return field, cv2.contourArea(outline) / max(cv2.contourArea(cv2.convexHull(outline)), 1.0)
