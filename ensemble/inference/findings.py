"""Measure a mask: area in pixels and square millimetres, and the patient's side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.decoding.radiograph import Facts

BOTH_FROM = 0.2
"""Share of the area beyond the midline from which a finding counts as bilateral; an apical one may reach over it a little."""
LATERAL = ("LL", "RL", "LAT", "LATERAL")


@dataclass(frozen=True)
class Finding:
    """Area and side of one mask."""

    area_px: int
    """Pixels of the original image."""
    area_mm2: float | None
    """With the spacing of the file: in the patient if it is given, else at the detector, where lengths are 5 to 15 % larger."""
    side: str | None
    """`left`, `right` or `both`, the patient's; None for an empty mask and for views without sides."""


def measure(mask: NDArray[np.bool_], facts: Facts) -> Finding:
    """Measure a mask bool (H, W); facts: of the same image."""
    area, spacing = int(np.count_nonzero(mask)), facts.spacing_mm
    square = None if spacing is None else area * spacing[0] * spacing[1]
    return Finding(area, square, side(mask, facts) if area else None)


def side(mask: NDArray[np.bool_], facts: Facts) -> str | None:
    """The patient's side of a mask that is not empty: by PatientOrientation, else as in a standard frontal view.

    There the patient faces the reader, whose left is the patient's right (PS3.3 C.7.6.1.1.1).
    """
    ends = _left_end(facts)
    if ends is None:
        return None
    axis, left_last = ends
    count = mask.sum(axis=1 - axis)
    position = 2 * np.arange(len(count)) + 1 - len(count)  # odd sizes have a middle pixel, on neither side
    after, before = count[position > 0].sum(), count[position < 0].sum()
    left, right = (after, before) if left_last else (before, after)
    if min(left, right) >= BOTH_FROM * (left + right):
        return "both"
    return "left" if left > right else "right"


def _left_end(facts: Facts) -> tuple[int, bool] | None:
    """The axis between the patient's sides (1: along the rows) and whether it ends at the left; None without one."""
    if facts.view in LATERAL:
        return None
    if not facts.orientation:
        return 1, True
    for axis, direction in zip((1, 0), facts.orientation, strict=False):
        if direction[:1] in ("L", "R"):
            return axis, direction[0] == "L"
    return None
