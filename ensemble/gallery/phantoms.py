"""Draw a sheet of chest phantoms.

First row without a pneumothorax, second row with one (small to large), third row the second with the readers' outlines.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.io.files import atomic
from imaging.phantom.chest.render import Phantom, render
from imaging.phantom.cohort import cases
from imaging.settings import PhantomSettings

FILE = Path("docs/figures/phantom.png")
SIDE = 192
"""Side in pixels of one image on the sheet."""
OUTLINE = (60, 76, 231)
"""Red in OpenCV's BGR order."""


def write(file: Path, columns: int = 4) -> None:
    """Write the sheet as PNG."""
    picture = sheet(PhantomSettings(), columns)
    with atomic(file) as temporary:
        temporary.write_bytes(cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())


def sheet(settings: PhantomSettings, columns: int) -> NDArray[np.uint8]:
    """Three rows of phantoms, (3 * SIDE, columns * SIDE, 3) uint8."""
    plan = cases(settings, settings.seed)
    healthy = [case.index for case in plan if not case.positive][:columns]
    ill = [case.index for case in plan if case.positive][: 3 * columns]
    above = [render(settings.seed, index, settings) for index in healthy]
    below = sorted((render(settings.seed, index, settings) for index in ill), key=area)[
        2::3
    ]  # small to large
    rows = [[small(p) for p in above], [small(p) for p in below], [outlined(p) for p in below]]
    return np.concatenate([np.concatenate(row, 1) for row in rows], 0)


def area(phantom: Phantom) -> int:
    """Number of annotated pixels."""
    return int(np.any(phantom.masks, 0).sum())


def small(phantom: Phantom) -> NDArray[np.uint8]:
    """The image alone, (SIDE, SIDE, 3)."""
    grey = cv2.resize(phantom.pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.repeat(grey[..., None], 3, axis=2)


def outlined(phantom: Phantom) -> NDArray[np.uint8]:
    """The image with the union of its masks outlined, (SIDE, SIDE, 3)."""
    picture = small(phantom).copy()
    union = np.any(phantom.masks, 0).astype(np.uint8) * np.uint8(255)
    reduced = (cv2.resize(union, (SIDE, SIDE), interpolation=cv2.INTER_AREA) > 127).astype(np.uint8)
    contours, _ = cv2.findContours(reduced, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, OUTLINE, 1)
    return picture
