"""Choose how a real film's lung collapses: the phantoms' geometry (imaging/phantom/chest/lung_collapse.py) on a found lung field.

Areas are distributed as in SIIM-ACR's labels, but smaller where the lung is too small; places are as in the phantoms: most over
the apex, some along the side wall, few at the base. Both sides are equally frequent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.painting.lung_fields import LEFT, Layer
from imaging.phantom.canvas import FULL, WORK, Points
from imaging.phantom.chest.lung_collapse import Retraction, sample_windows, solve
from imaging.phantom.chest.pneumothorax import sample_area

LEAST_AREA = 1500
"""Pixels at 1024 x 1024; smaller ones cannot be seen on a film of 512 pixels."""
GROWN = 2
"""Pixels of the WORK grid by which a field is enlarged: a threshold stops short of the chest wall."""


@dataclass(frozen=True)
class Collapse:
    """One lung that has retracted, on the WORK grid (512 pixels a side)."""

    field: Layer
    """uint8 0/1: the lung as it was."""
    space: Layer
    """uint8 0/1: where only air is left."""
    retraction: Retraction

    @property
    def mask(self) -> NDArray[np.uint8]:
        """What a reader outlines: the space without its small parts."""
        number, labels, boxes, _ = cv2.connectedComponentsWithStats(self.space)
        sizes = boxes[1:, cv2.CC_STAT_AREA]
        kept = [k + 1 for k in range(number - 1) if sizes[k] >= max(15, sizes.max() // 20)]
        return np.isin(labels, kept).astype(np.uint8)


def sample(fields: dict[int, Layer], rng: np.random.Generator) -> Collapse | None:
    """Sample a collapse of one of the lungs from `lung_fields`; None without a lung, or where hardly any air fits."""
    if not fields:
        return None
    whole = {side: _smooth(field) for side, field in sorted(fields.items())}
    side = int(rng.choice(list(whole)))
    field = whole[side]
    outline = _outline(field, side)
    columns = np.flatnonzero(np.any(list(whole.values()), axis=(0, 1)))
    unit = (columns[-1] - columns[0]) / 2 if len(whole) == 2 else 1.25 * (columns[-1] - columns[0])
    area = sample_area(rng, LEAST_AREA)
    _, windows = sample_windows(rng, area, float(unit), supine=False)
    centre = outline.mean(axis=0)
    centre[1] += 0.1 * np.ptp(outline[:, 1])
    layer: Any = field * np.uint8(255)
    found = solve(Retraction(outline, centre, windows), layer, area * (WORK / FULL) ** 2)
    space = (found.space(layer) > 127).astype(np.uint8)
    return Collapse(field, space, found) if int(space.sum()) >= 80 else None


def _smooth(field: Layer) -> Layer:
    """A field on the WORK grid, with smooth borders, its bays closed, and up to the chest wall."""
    large = cv2.resize(field.astype(np.float32), (WORK, WORK), interpolation=cv2.INTER_LINEAR)
    layer = (cv2.GaussianBlur(large, (0, 0), 4) > 0.5).astype(np.uint8)
    layer = cv2.morphologyEx(layer, cv2.MORPH_CLOSE, _disc(41)).astype(np.uint8)
    return cv2.dilate(layer, _disc(2 * GROWN + 1)).astype(np.uint8)


def _disc(size: int) -> NDArray[Any]:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def _outline(field: Layer, side: int) -> Points:
    """The outline (N, 2) from the apex, first along the side wall, a running mean of nine points."""
    found, _ = cv2.findContours(field, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = max(found, key=cv2.contourArea)[:, 0].astype(np.float64)
    around = np.concatenate([points[-4:], points, points[:4]])
    points = np.stack([np.convolve(around[:, k], np.ones(9) / 9, "valid") for k in (0, 1)], axis=1)
    following = np.roll(points, -1, axis=0)
    clockwise = (
        float(np.sum(points[:, 0] * following[:, 1] - following[:, 0] * points[:, 1])) > 0
    )  # y points down
    if (side == LEFT) == clockwise:
        points = points[::-1]
    return np.roll(points, -int(np.argmin(points[:, 1])), axis=0)
