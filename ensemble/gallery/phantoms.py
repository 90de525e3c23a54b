"""Draw a sheet of chest phantoms.

First row without a pneumothorax, second row with one (small to large), third row the second row with the readers' outlines.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging import outline
from imaging.io.files import write_bytes
from imaging.phantom.chest.render import Phantom, render
from imaging.phantom.cohort import cases
from imaging.settings import PhantomSettings

SIDE = 192
"""Side in pixels of one image on the sheet."""
OUTLINE = "#e74c3c"


def write(file: Path, columns: int = 4) -> None:
    """Write the sheet as PNG."""
    write_picture(file, sheet(PhantomSettings(), columns))


def write_picture(file: Path, picture: NDArray[np.uint8]) -> None:
    """Write an RGB picture as the smallest PNG."""
    smallest = [cv2.IMWRITE_PNG_COMPRESSION, 9]
    write_bytes(file, cv2.imencode(".png", picture[..., ::-1], smallest)[1].data)


def sheet(settings: PhantomSettings, columns: int) -> NDArray[np.uint8]:
    """Three rows of phantoms, (3 * SIDE, columns * SIDE, 3) uint8."""
    plan = cases(settings, settings.seed)
    healthy = [case.index for case in plan if not case.positive][:columns]
    ill = [case.index for case in plan if case.positive][: 3 * columns]
    above = [render(settings.seed, index, settings) for index in healthy]
    below = sorted((render(settings.seed, index, settings) for index in ill), key=area)[
        2::3
    ]  # small to large
    rows = [[small(one) for one in above], [small(one) for one in below]]
    return in_rows(*rows, [outlined(small(one), np.any(one.masks, 0)) for one in below])


def in_rows(*rows: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Tiles uint8 (SIDE, SIDE) or (SIDE, SIDE, 3) as one picture (rows * SIDE, columns * SIDE, 3)."""
    colour = [[np.dstack([one] * 3) if one.ndim == 2 else one for one in row] for row in rows]
    return np.concatenate([np.concatenate(row, 1) for row in colour], 0)


def area(phantom: Phantom) -> int:
    """Number of annotated pixels."""
    return int(np.any(phantom.masks, 0).sum())


def small(phantom: Phantom) -> NDArray[np.uint8]:
    """The image alone, (SIDE, SIDE)."""
    return np.asarray(cv2.resize(phantom.pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def outlined(grey: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A reduced image (SIDE, SIDE) with the outline of its full-size mask, (SIDE, SIDE, 3)."""
    reduced = cv2.resize(mask.astype(np.uint8) * 255, (SIDE, SIDE), interpolation=cv2.INTER_AREA) > 127
    return outline.draw(grey, reduced, OUTLINE, width=1)
