"""Draw a sheet of head CT phantoms.

First row one patient from below, second row one slice of each kind of haemorrhage, third row the second with the masks outlined.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ensemble.gallery.phantoms import OUTLINE, SIDE
from imaging.io.files import atomic
from imaging.phantom.head.haemorrhage import KINDS
from imaging.phantom.head.slices import Case, HeadSlice, cases, render
from imaging.settings import PhantomSettings

FILE = Path("docs/figures/head-ct.png")


def write(path: Path) -> None:
    """Write the sheet as PNG."""
    picture = sheet(PhantomSettings(kind="head_ct"))
    with atomic(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())


def sheet(settings: PhantomSettings) -> NDArray[np.uint8]:
    """Three rows of phantoms, (3 * SIDE, 5 * SIDE, 3) uint8."""
    plan = cases(settings)
    healthy = [index for index, case in enumerate(plan) if case.patient == _healthy(plan)]
    above = [render(settings, healthy[len(healthy) * step // len(KINDS)]) for step in range(len(KINDS))]
    below = [render(settings, _middle(plan, kind)) for kind in KINDS]
    rows = [[tile(one, False) for one in above], *([tile(one, o) for one in below] for o in (False, True))]
    return np.concatenate([np.concatenate(row, 1) for row in rows], 0)


def _healthy(plan: tuple[Case, ...]) -> int:
    """The first patient without a haemorrhage."""
    return next(case.patient for case in plan if not case.bleedings)


def _middle(plan: tuple[Case, ...], kind: str) -> int:
    """Index of the first slice through the middle of a haemorrhage of this kind."""
    for index, case in enumerate(plan):
        main = case.bleedings[0] if case.bleedings else None
        if main and main.kind == kind and abs(case.z - main.middle) < main.half / 3:
            return index
    raise ValueError(f"no {kind} haemorrhage among {len(plan)} slices; ask for more")


def tile(one: HeadSlice, outlined: bool) -> NDArray[np.uint8]:
    """The brain window, with the mask outlined or without, (SIDE, SIDE, 3)."""
    picture = cv2.cvtColor(
        cv2.resize(one.brain, (SIDE, SIDE), interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2BGR
    )
    if outlined:
        full = one.mask.astype(np.uint8) * np.uint8(255)
        reduced = (cv2.resize(full, (SIDE, SIDE), interpolation=cv2.INTER_AREA) > 127).astype(np.uint8)
        contours, _ = cv2.findContours(reduced, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, contours, -1, OUTLINE, 1)
    return np.asarray(picture, np.uint8)
