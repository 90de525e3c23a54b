"""Draw a sheet of head CT phantoms.

First row one patient from below, second row one slice of each kind of haemorrhage, third row the second row with the masks
outlined.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ensemble.gallery.phantoms import SIDE, in_rows, outlined, write_picture
from imaging.phantom.head.haemorrhage import KINDS
from imaging.phantom.head.slices import Case, HeadSlice, cases, render
from imaging.settings import PhantomSettings


def write(path: Path) -> None:
    """Write the sheet as PNG."""
    write_picture(path, sheet(PhantomSettings(kind="head_ct")))


def sheet(settings: PhantomSettings) -> NDArray[np.uint8]:
    """Three rows of phantoms, (3 * SIDE, 5 * SIDE, 3) uint8."""
    plan = cases(settings)
    healthy = [index for index, case in enumerate(plan) if case.patient == _healthy(plan)]
    above = [render(settings, healthy[len(healthy) * step // len(KINDS)]) for step in range(len(KINDS))]
    below = [render(settings, _middle(plan, kind)) for kind in KINDS]
    tiles = [tile(one) for one in below]
    masks = [outlined(grey, one.mask) for grey, one in zip(tiles, below, strict=True)]
    return in_rows([tile(one) for one in above], tiles, masks)


def _healthy(plan: tuple[Case, ...]) -> int:
    """The first patient without a haemorrhage."""
    return next(case.patient for case in plan if not case.bleedings)


def _middle(plan: tuple[Case, ...], kind: str) -> int:
    """Index of the first slice through the middle of a haemorrhage of this kind."""
    for index, case in enumerate(plan):
        main = case.bleedings[0] if case.bleedings else None
        if main and main.kind == kind and abs(case.z - main.middle) < main.half / 3:
            return index
    raise ValueError(f"no {kind} haemorrhage among {len(plan)} slices; increase `train`")


def tile(one: HeadSlice) -> NDArray[np.uint8]:
    """The brain window, (SIDE, SIDE)."""
    return np.asarray(cv2.resize(one.brain, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
