"""Pneumothorax: where it lies, what it changes, and how a reader would outline it.

A pneumothorax is the space between the chest wall and the retracted lung. The lung's outline shrinks towards its hilum by a
share c(angle); c has one or two bumps (apical, lateral, basal) whose height is solved for the wanted area, so that the areas
follow SIIM-ACR's. The space holds air and no vessels; its inner border is the fine bright visceral pleura.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.phantom.anatomy import Chest
from imaging.phantom.canvas import FULL, WORK, Layer, Points, blur, fill, stroke
from imaging.phantom.tissue import visible_lung

AREA_SHARES = (0.0, 0.01, 0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95, 0.99, 1.0)
AREA_PIXELS = (400, 567, 1364, 2006, 4059, 8630, 18388, 33433, 45772, 80416, 161421)
"""Quantiles of a positive image's area in pixels at 1024 x 1024, counted in SIIM-ACR's labels (where the least is 55)."""
SMALLEST_PART = 60
"""Parts of fewer pixels than this are not outlined."""
HIGHEST = 0.78
"""The most that a lung retracts: it never vanishes behind the hilum."""


@dataclass(frozen=True)
class Retraction:
    """How far the lung's surface moves towards `centre` (pixels of the WORK grid), by direction."""

    side: int
    centre: Points
    angles: tuple[float, float]
    """Directions of the two bumps: 0 lateral, -pi/2 up."""
    spread: tuple[float, float]
    heights: tuple[float, float]

    def share(self, points: Points) -> Points:
        """Share of the way to the centre, 0..0.78, for points (N, 2) of the WORK grid."""
        offset = (points - self.centre) * (self.side, 1)
        angle = np.arctan2(offset[:, 1], offset[:, 0])
        total = np.zeros(len(points))
        for middle, width, height in zip(self.angles, self.spread, self.heights, strict=True):
            away = (angle - middle + np.pi) % (2 * np.pi) - np.pi
            total += height * np.exp(-(away**2) / (2 * width**2))
        return np.clip(total, 0, HIGHEST)

    def move(self, points: Points) -> Points:
        """Points of the healthy lung at their place in the collapsed one."""
        return points + (self.centre - points) * self.share(points)[:, None]


@dataclass(frozen=True)
class Pneumothorax:
    """One collapse."""

    side: int
    kind: str
    retraction: Retraction
    space: Layer
    """255 on the WORK grid where the pleural space holds air only."""
    strength: float
    """1: the whole depth is air; less: lung overlaps it and the contrast falls."""
    pleura: float
    """Thickness of the pleural line in mm of water."""

    def retract(self, side: int, points: Points) -> Points:
        """Move a lung's vessels with it; the other lung stays."""
        return self.retraction.move(points) if side == self.side else points


def sample_area(rng: np.random.Generator) -> float:
    """Wanted area of the mask in pixels at 1024 x 1024, distributed as in SIIM-ACR."""
    return float(np.exp(np.interp(rng.random(), AREA_SHARES, np.log(AREA_PIXELS))))


def sample(
    chest: Chest, rng: np.random.Generator, difficulty: float, field: dict[int, Layer]
) -> Pneumothorax:
    """Draw a pneumothorax; `field` is the visible lung by side (tissue.Lungs.field); `difficulty` 0..1 lowers its contrast."""
    side = (
        -1 if rng.random() < 0.59 else 1
    )  # SIIM-ACR: 59 % of the centroids are in the left half of the picture
    area = sample_area(rng)
    kind, angles, spread, second = _form(rng, area, chest.pose.supine)
    centre = chest.to_pixels(np.array([chest.hilum(side)]) + np.array([side * 0.06, 0.05]))[0]
    shape = Retraction(side, centre, angles, spread, (1.0, second))
    outline = chest.to_pixels(chest.envelope(side))
    shape = solve(shape, outline, field[side], area * (WORK / FULL) ** 2)
    hard = float(np.clip(rng.normal(difficulty, 0.22), 0, 1))
    return Pneumothorax(
        side,
        kind,
        shape,
        space(shape, outline, field[side]),
        1.0 - 0.72 * hard,
        7.0 - 4.5 * hard * rng.random(),
    )


def space(shape: Retraction, outline: Points, field: Layer) -> Layer:
    """The visible lung less the retracted one."""
    return fill(field.copy(), shape.move(outline), 0)


def solve(shape: Retraction, outline: Points, field: Layer, area: float) -> Retraction:
    """Scale the bumps by bisection until the space has `area` pixels of the WORK grid (or the lung is as small as it gets)."""
    low, high = 0.0, HIGHEST
    for _ in range(9):
        middle = (low + high) / 2
        tried = replace(shape, heights=(middle, middle * shape.heights[1]))
        if cv2.sumElems(space(tried, outline, field))[0] < area * 255:
            low = middle
        else:
            high = middle
    return replace(shape, heights=(high, high * shape.heights[1]))


def _form(
    rng: np.random.Generator, area: float, supine: bool
) -> tuple[str, tuple[float, float], tuple[float, float], float]:
    """Which border of the lung retracts: name, directions and widths of two bumps, relative height of the second."""
    draw = rng.random()
    up = rng.normal(-1.2, 0.12)
    narrow = (
        rng.uniform(0.18, 0.3) + 0.2 * (area / 15000) ** 0.5
    )  # deep and narrow would be a bite, not a collapse
    if supine and draw < 0.25:
        return "basal", (rng.normal(0.85, 0.12), -1.0), (0.3, 0.3), 0.0
    if area < 3000 or (draw < 0.60 and area < 30000):
        return "apical", (up, -0.1), (narrow, 0.3), 0.0
    if draw < 0.72:
        return "lateral", (rng.normal(-0.25, 0.25), -1.2), (narrow + 0.05, 0.3), 0.0
    if draw < 0.84:
        return (
            "two-part",
            (up, rng.normal(0.7, 0.1)),
            (narrow, rng.uniform(0.14, 0.24)),
            rng.uniform(0.5, 1.0),
        )
    return (
        "large",
        (up, rng.normal(0.1, 0.2)),
        (rng.uniform(0.4, 0.6), rng.uniform(0.5, 0.7)),
        rng.uniform(0.4, 0.9),
    )


def collapse(density: NDArray[np.int32], found: Pneumothorax, envelope: Layer) -> NDArray[np.int32]:
    """Density of the lungs (256 = water) with the collapse in it: thin air in the space, denser lung beside it."""
    soft = blur(found.space, 0.6).astype(np.int32)
    crowd = round(256 * (1 + 0.9 * max(found.retraction.heights)))
    denser = np.where(envelope > 127, density * crowd >> 8, density)
    return denser - (denser * (soft * round(255 * found.strength) >> 8) >> 8)


def pleural_line(chest: Chest, found: Pneumothorax, layer: Layer) -> Layer:
    """Draw the visceral pleura on a FULL layer, where it stands off the wall."""
    outline = chest.to_pixels(chest.envelope(found.side))
    line = found.retraction.move(outline) * (FULL / WORK)
    apart = found.retraction.share(outline) > 0.012
    for piece in _runs(line, apart):
        stroke(layer, piece, 255, 2)
    return cv2.min(layer, visible_lung(chest, found.side, FULL))


def _runs(points: Points, wanted: NDArray[np.bool_]) -> list[Points]:
    """Stretches of consecutive wanted points, two points or more each; the outline is closed, so it starts at a gap."""
    gap = int(np.argmin(wanted))
    points, wanted = np.roll(points, -gap, 0), np.roll(wanted, -gap)
    edges = np.flatnonzero(np.diff(wanted.astype(np.int8), prepend=0, append=0))
    return [
        points[start:stop] for start, stop in zip(edges[::2], edges[1::2], strict=True) if stop - start > 1
    ]


def annotate(chest: Chest, found: Pneumothorax, rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """The masks (FULL, FULL) that a reader would draw: the space with a slightly wrong border, at times in several parts."""
    outline = chest.to_pixels(chest.envelope(found.side))
    wobble = np.interp(np.arange(len(outline)) / len(outline), np.linspace(0, 1, 24), rng.normal(0, 0.7, 24))
    inset = outline + (found.retraction.centre - outline) * (0.004 + 0.001 * wobble[:, None])
    error = 1 + 0.06 * np.roll(wobble, 40)
    moved = outline + (found.retraction.centre - outline) * (found.retraction.share(outline) * error)[:, None]
    layer = visible_lung(chest, found.side, FULL, inset * (FULL / WORK))
    mask = fill(layer, moved * (FULL / WORK), 0) > 127
    return _parts(mask, found, rng)


def _parts(mask: NDArray[np.bool_], found: Pneumothorax, rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    sizes = stats[1:, cv2.CC_STAT_AREA]
    kept = [labels == part + 1 for part in range(count - 1) if sizes[part] >= SMALLEST_PART]
    if not kept:  # thinner than the reader's error: he would still outline it
        return [cv2.resize(found.space, (FULL, FULL), interpolation=cv2.INTER_NEAREST) > 0]
    if len(kept) == 1 and rng.random() < 0.2:
        return _split(kept[0], rng)
    return kept


def _split(mask: NDArray[np.bool_], rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """One space outlined as two that meet or, as in SIIM-ACR at times, overlap by a few rows."""
    rows = np.flatnonzero(mask.any(1))
    cut = int(np.quantile(rows, rng.uniform(0.3, 0.7)))
    overlap = int(rng.integers(0, 2)) * int(rng.integers(2, 12))
    upper, lower = mask.copy(), mask.copy()
    upper[cut + overlap :] = False
    lower[:cut] = False
    return [part for part in (upper, lower) if part.any()]
