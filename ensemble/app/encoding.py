"""Pictures in the form that the page takes: PNG in base64, outlines as SVG paths."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.decoding.radiograph import Pixels
from imaging.outline import polygons

MAX_SIDE = 2048
"""Longest side in pixels that the page draws; areas and masks are those of the original."""


def png(pixels: NDArray[np.uint8]) -> str:
    """Pixels uint8 (H, W), (H, W, 3) BGR or (H, W, 4) BGRA as a PNG in base64."""
    _, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])  # fast: it is not stored
    return b64encode(data.tobytes()).decode()


def displayed(pixels: Pixels) -> dict[str, Any]:
    """A radiograph (H, W) as `picture` and its `depth`, 8 or 16 bits.

    A browser decodes at most 8 bits per channel: 16 bits travel as high byte in red and low byte in green, so that a
    narrow window still has all its greys.
    """
    largest = max(pixels.shape)
    if largest > MAX_SIDE:
        size = [max(1, round(side * MAX_SIDE / largest)) for side in pixels.shape]
        pixels = np.asarray(
            cv2.resize(pixels, (size[1], size[0]), interpolation=cv2.INTER_AREA), pixels.dtype
        )
    if pixels.dtype == np.uint8:
        return {"picture": png(pixels.astype(np.uint8, copy=False)), "depth": 8}
    high, low = (pixels >> 8).astype(np.uint8), (pixels & 255).astype(np.uint8)
    return {"picture": png(np.dstack([np.zeros_like(high), low, high])), "depth": 16}


def outline(mask: NDArray[np.bool_]) -> str:
    """The edge of a mask (H, W) as an SVG path in pixels, holes included; empty for an empty mask."""
    return "".join(f"M{'L'.join(f'{x:g} {y:g}' for x, y in polygon)}Z" for polygon in polygons(mask))
