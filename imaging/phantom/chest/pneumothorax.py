"""Pneumothorax: its effect on the image, and a reader's outline of it.

The space between the chest wall and the retracted lung (lung_collapse.py) holds air and no vessels; its inner border is the fine
bright visceral pleura; the lung that gave way is a little denser.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.phantom.canvas import FULL, WORK, Layer, Points, blur, fill, stroke
from imaging.phantom.chest.anatomy import Chest
from imaging.phantom.chest.lung_collapse import Retraction, sample_windows, solve
from imaging.phantom.chest.tissue import visible_lung
from imaging.settings import PhantomSettings

AREA_SHARES = (0.0, 0.01, 0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95, 0.99, 1.0)
AREA_PIXELS = (400, 567, 1364, 2006, 4059, 8630, 18388, 33433, 45772, 80416, 161421)
"""Quantiles of a positive image's area in pixels at 1024 x 1024, counted in SIIM-ACR's labels (where the smallest is 55)."""
SMALLEST_PART = 60
"""Components with fewer pixels are not outlined."""


@dataclass(frozen=True)
class Pneumothorax:
    """One collapse."""

    side: int
    kind: str
    retraction: Retraction
    space: Layer
    """255 on the WORK grid where the pleural space holds only air."""
    strength: float
    """1: air through the whole depth; less: overlapping lung lowers the contrast."""
    pleura: float
    """Thickness of the pleural line in mm of water."""

    def retract(self, side: int, points: Points) -> Points:
        """Move one lung's vessels with it; the other lung stays."""
        return self.retraction.move(points) if side == self.side else points


def sample_area(rng: np.random.Generator, least: int = 0) -> float:
    """Wanted area of the mask in pixels at 1024 x 1024, distributed as in SIIM-ACR among masks of at least `least` pixels."""
    share = float(np.interp(np.log(max(least, 1)), np.log(AREA_PIXELS), AREA_SHARES))
    drawn = share + (1 - share) * rng.random()
    return float(np.exp(np.interp(drawn, AREA_SHARES, np.log(AREA_PIXELS))))


def sample(
    chest: Chest, rng: np.random.Generator, settings: PhantomSettings, field: dict[int, Layer]
) -> Pneumothorax:
    """Sample a pneumothorax; `field` is the visible lung by side (tissue.Lungs.field), difficulty lowers the contrast."""
    side = (
        -1 if rng.random() < 0.59 else 1
    )  # SIIM-ACR: 59 % of the centroids are in the left half of the picture
    area = sample_area(rng, settings.least_area)
    kind, windows = sample_windows(rng, area, chest.pose.unit, chest.pose.supine)
    centre = chest.to_pixels(np.array([[0.5 * side, 0.95 * chest.height]]))[0]
    healthy = Retraction(chest.to_pixels(chest.envelope(side)), centre, windows)
    drawn = (
        1.03 * area + 160
    )  # readers stay clear of the wall, so the mask is slightly smaller than the space
    shape = solve(healthy, field[side], drawn * (WORK / FULL) ** 2)
    hard = float(np.clip(rng.normal(settings.difficulty, 0.22), 0, 1))
    pleura = 7.0 - 4.5 * hard * rng.random()
    return Pneumothorax(side, kind, shape, shape.space(field[side]), 1.0 - 0.85 * hard, pleura)


def collapse(density: NDArray[np.int32], found: Pneumothorax, envelope: Layer) -> NDArray[np.int32]:
    """Density of the lungs (256 = water) with the collapse: air in the space, denser lung beside it."""
    soft = blur(found.space, 0.6).astype(np.int32)
    lost = cv2.countNonZero(found.space) / max(cv2.countNonZero(envelope), 1)
    crowd = round(256 * (1 + 1.2 * lost))  # lung displaced from the space densifies the rest
    denser = np.where(envelope > 127, density * crowd >> 8, density)
    return denser - (denser * (soft * round(255 * found.strength) >> 8) >> 8)


def pleural_line(chest: Chest, found: Pneumothorax, layer: Layer) -> Layer:
    """Draw the visceral pleura on a FULL layer where it is off the wall."""
    line = found.retraction.surface()
    apart = np.hypot(*(line - found.retraction.outline).T) > 2.0
    for piece in _segments(line * (FULL / WORK), apart):
        stroke(layer, piece, 255, 2)
    return cv2.min(layer, visible_lung(chest, found.side, FULL))


def _segments(points: Points, wanted: NDArray[np.bool_]) -> list[Points]:
    """Segments of consecutive wanted points, two or more each; the outline is closed, so start at a gap."""
    gap = int(np.argmin(wanted))
    points, wanted = np.roll(points, -gap, 0), np.roll(wanted, -gap)
    edges = np.flatnonzero(np.diff(wanted.astype(np.int8), prepend=0, append=0))
    return [
        points[start:stop] for start, stop in zip(edges[::2], edges[1::2], strict=True) if stop - start > 1
    ]


def annotate(chest: Chest, found: Pneumothorax, rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """The masks (FULL, FULL) that a reader would draw: the space with a slightly wrong border, sometimes in several parts."""
    outline = found.retraction.outline
    around = np.arange(len(outline)) / len(outline)
    wobble = np.interp(around, np.linspace(0, 1, 24), rng.normal(0, 1, 24))[:, None]
    inwards = (outline.mean(0) - outline) * (0.004 + 0.001 * wobble)  # readers stay just clear of the wall
    surface = (
        found.retraction.surface(float(rng.normal(0, 0.04))) + (outline.mean(0) - outline) * 0.003 * wobble
    )
    layer = visible_lung(chest, found.side, FULL, (outline + inwards) * (FULL / WORK))
    return _parts(fill(layer, surface * (FULL / WORK), 0) > 127, found, rng)


def _parts(mask: NDArray[np.bool_], found: Pneumothorax, rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    sizes = stats[1:, cv2.CC_STAT_AREA]
    largest = int(sizes.max(initial=0))
    kept = [labels == n + 1 for n in range(count - 1) if sizes[n] >= max(SMALLEST_PART, largest // 20)]
    if not kept:  # thinner than the reader's error: still outlined
        return [cv2.resize(found.space, (FULL, FULL), interpolation=cv2.INTER_NEAREST) > 0]
    if len(kept) == 1 and rng.random() < 0.2:
        return _split(kept[0], rng)
    return kept


def _split(mask: NDArray[np.bool_], rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """One space outlined as two masks that meet or, as sometimes in SIIM-ACR, overlap by a few rows."""
    rows = np.flatnonzero(mask.any(1))
    cut = int(np.quantile(rows, rng.uniform(0.3, 0.7)))
    overlap = int(rng.integers(0, 2)) * int(rng.integers(2, 12))
    upper, lower = mask.copy(), mask.copy()
    upper[cut + overlap :] = False
    lower[:cut] = False
    return [part for part in (upper, lower) if part.any()]
