"""Drawing in Hounsfield units, in integers, so that every machine gives the same bytes (see phantom.canvas)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.phantom.canvas import WORK, Layer, blur

AIR, FAT, CSF, WHITE, GREY, SKIN, DURA, CALCIUM, BONE = -1000, -80, 9, 29, 38, 40, 52, 130, 1100
"""Typical values on CT: cerebrospinal fluid 0 to 15, white matter 20 to 30, grey matter 35 to 40, bone above 700."""

Units = NDArray[np.int32]
"""(WORK, WORK) Hounsfield units."""


def air() -> Units:
    """An empty slice."""
    return np.full((WORK, WORK), AIR, np.int32)


def paint(units: Units, layer: Layer, value: int) -> None:
    """Set a slice to `value` where the layer (0..255) is set, in place."""
    left, top, width, height = cv2.boundingRect(layer)
    if width == 0:
        return
    part = units[top : top + height, left : left + width]
    weight = layer[top : top + height, left : left + width].astype(np.int32)
    part += ((value - part) * weight + 127) // 255


def soften(units: Units, sigma: float) -> Units:
    """Blur as a scanner does; in fixed-point arithmetic."""
    return blur((units + 1024).astype(np.uint16), sigma).astype(np.int32) - 1024


def grain(units: Units, deviation: int, rng: np.random.Generator) -> Units:
    """Add quantum noise of about this deviation in Hounsfield units, correlated over two pixels by the reconstruction."""
    coarse = rng.integers(0, 4096, (WORK, WORK), dtype=np.uint16)
    noise = blur(coarse, 0.8).astype(np.int32) - 2048  # standard deviation about 430
    return units + noise * deviation // 430


def windowed(units: Units, centre: int, width: int) -> NDArray[np.uint8]:
    """8-bit greys of a display window."""
    low = centre - width // 2
    return (np.clip(units - low, 0, width) * 255 // width).astype(np.uint8)
