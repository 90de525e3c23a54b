"""Pneumothorax and the opacities: where they lie, what they change, and how somebody would outline them.

A pneumothorax is the space between the chest wall and the retracted lung. The lung's outline shrinks towards its hilum by a
share c(angle); c has one or two bumps (apical, lateral, basal), and its height is solved for the area wanted, so that the areas follow
SIIM-ACR's. The space holds air and no vessels; its inner border is the fine bright visceral pleura.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from imaging.phantom.anatomy import Chest
from imaging.phantom.canvas import FULL, WORK, Layer, Points, blank, blur, ellipse, fill, shape, stroke

AREA_SHARES = (0.0, 0.01, 0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95, 0.99, 1.0)
AREA_PIXELS = (400, 567, 1364, 2006, 4059, 8630, 18388, 33433, 45772, 80416, 161421)
"""Quantiles of the area in pixels of a positive mask at 1024 x 1024, counted in SIIM-ACR's labels; its least is 55."""


@dataclass(frozen=True)
class Pneumothorax:
    """One collapse, on the WORK grid unless said otherwise."""

    side: int
    space: Layer
    """255 where the pleural space holds air only."""
    line: Points
    """Visceral pleura in pixels of the FULL grid, where it stands off the wall."""
    strength: float
    """1: the whole depth is air; less: lung overlaps it and the contrast falls."""
    density: float
    """Factor on the density of the collapsed lung."""
    kind: str
    centre: Points
    angles: tuple[float, float]
    spread: tuple[float, float]
    heights: tuple[float, float]

    def share(self, points: Points) -> np.ndarray:
        """How far points (N, 2), in pixels of the WORK grid, have moved towards the hilum, 0..1."""
        return _share(points, self.centre, self.side, self.angles, self.spread, self.heights)

    def retract(self, side: int, points: Points) -> Points:
        """Move points of the healthy lung to their place in the collapsed one."""
        if side != self.side:
            return points
        return points + (self.centre - points) * self.share(points)[:, None]


def _share(
    points: Points,
    centre: Points,
    side: int,
    angles: tuple[float, float],
    spread: tuple[float, float],
    heights: tuple[float, float],
) -> np.ndarray:
    offset = (points - centre) * (side, 1)
    angle = np.arctan2(offset[:, 1], offset[:, 0])
    bumps = [
        h * np.exp(-(((angle - a + np.pi) % (2 * np.pi) - np.pi) ** 2) / (2 * s * s))
        for a, s, h in zip(angles, spread, heights, strict=True)
    ]
    return np.clip(np.sum(bumps, axis=0), 0, 0.8)


def sample_area(rng: np.random.Generator) -> float:
    """Wanted area of the mask in pixels at 1024 x 1024, distributed as in SIIM-ACR."""
    return float(np.exp(np.interp(rng.random(), AREA_SHARES, np.log(AREA_PIXELS))))


def sample_pneumothorax(
    chest: Chest, rng: np.random.Generator, difficulty: float, field: dict[int, Layer]
) -> Pneumothorax:
    """Draw a pneumothorax; `field` is the visible lung by side (tissue.Lungs.field)."""
    side = (
        -1 if rng.random() < 0.59 else 1
    )  # SIIM-ACR: 59 % of the centroids are in the left half of the picture
    area = sample_area(rng)
    kind, angles, spread, second = _form(rng, area, chest.pose.supine)
    outline = chest.to_pixels(chest.envelope(side))
    centre = chest.to_pixels(np.array([chest.hilum(side)]) + (side * 0.06, 0.05))[0]
    wanted = area * (WORK / FULL) ** 2

    def space(height: float) -> Layer:
        moved = (
            outline
            + (centre - outline)
            * _share(outline, centre, side, angles, spread, (height, height * second))[:, None]
        )
        return cv2.subtract(field[side], shape(moved))

    low, high = 0.0, 0.75
    for _ in range(9):
        middle = (low + high) / 2
        if cv2.countNonZero(cv2.compare(space(middle), 127, cv2.CMP_GT)) < wanted:
            low = middle
        else:
            high = middle
    heights = (high, high * second)
    share = _share(outline, centre, side, angles, spread, heights)
    line = (outline + (centre - outline) * share[:, None])[share > 0.02 * high]
    hard = float(np.clip(rng.beta(1.2, 1.2) * 0.5 + difficulty * 0.75 - 0.25, 0, 1))
    return Pneumothorax(
        side,
        space(high),
        line * (FULL / WORK),
        1.0 - 0.75 * hard,
        1 + 1.2 * high,
        kind,
        centre,
        angles,
        spread,
        heights,
    )


def _form(
    rng: np.random.Generator, area: float, supine: bool
) -> tuple[str, tuple[float, float], tuple[float, float], float]:
    """Which border of the lung retracts: name, angles and widths of two bumps (0 lateral, -pi/2 up), height of the second."""
    draw = rng.random()
    if supine and draw < 0.25:
        return "basal", (rng.normal(0.85, 0.15), -1.0), (0.35, 0.3), 0.0
    if draw < 0.58 or area < 3000:
        return (
            "apical",
            (rng.normal(-1.25, 0.12), -0.2),
            (rng.uniform(0.22, 0.42), 0.3),
            float(rng.random() < 0.2) * 0.12,
        )
    if draw < 0.75:
        return "lateral", (rng.normal(-0.2, 0.25), -1.2), (rng.uniform(0.3, 0.55), 0.3), 0.0
    if draw < 0.87:
        return (
            "two-part",
            (rng.normal(-1.25, 0.1), rng.normal(0.6, 0.15)),
            (rng.uniform(0.22, 0.34), rng.uniform(0.2, 0.3)),
            rng.uniform(0.4, 0.9),
        )
    return (
        "large",
        (rng.normal(-1.1, 0.15), rng.normal(0.1, 0.2)),
        (rng.uniform(0.4, 0.6), rng.uniform(0.5, 0.7)),
        rng.uniform(0.5, 1.0),
    )


def annotate(found: Pneumothorax, rng: np.random.Generator) -> list[np.ndarray]:
    """The masks (FULL, FULL) bool that a reader would draw: the space with a slightly wrong border, at times in several parts."""
    size = FULL // 4
    wobble = rng.integers(0, 256, (size // 8, size // 8), dtype=np.uint8)
    wobble = cv2.resize(
        cv2.resize(wobble, (size, size), interpolation=cv2.INTER_LINEAR_EXACT),
        (FULL, FULL),
        interpolation=cv2.INTER_LINEAR_EXACT,
    )
    soft = cv2.resize(blur(found.space, 1.6), (FULL, FULL), interpolation=cv2.INTER_LINEAR_EXACT)
    level = 104 + (wobble >> 2).astype(np.int16) - 8
    mask = soft > level
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    kept = [parts == part for part in range(1, count) if stats[part, cv2.CC_STAT_AREA] >= 60]
    if not kept:
        return [cv2.resize(found.space, (FULL, FULL), interpolation=cv2.INTER_NEAREST_EXACT) > 0]
    if len(kept) == 1 and rng.random() < 0.12:
        return _split(kept[0], rng)
    return kept


def _split(mask: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """One space outlined as two that meet or, as in SIIM-ACR at times, overlap by a few rows."""
    rows = np.flatnonzero(mask.any(1))
    cut = int(np.quantile(rows, rng.uniform(0.3, 0.7)))
    overlap = int(rng.integers(0, 2)) * int(rng.integers(2, 12))
    upper, lower = mask.copy(), mask.copy()
    upper[cut + overlap :] = False
    lower[:cut] = False
    return [part for part in (upper, lower) if part.any()]


def apply_density(density: np.ndarray, found: Pneumothorax, envelope: Layer) -> np.ndarray:
    """Density of the lungs (256 = water) with the collapse in it: thin air in the space, denser lung beside it."""
    soft = blur(found.space, 0.8).astype(np.int32)
    crowd = round(256 * found.density)
    denser = np.where(envelope > 127, density * crowd >> 8, density)
    gain = round(255 * found.strength)
    return denser - (denser * soft // 255) * gain // 255


def opacities(chest: Chest, rng: np.random.Generator, density: np.ndarray) -> np.ndarray:
    """Add consolidation, nodules and effusion at times; density 256 = water."""
    extra = blank()
    for _ in range(rng.poisson(0.5)):
        side = 1 if rng.random() < 0.5 else -1
        centre = (side * rng.uniform(0.3, 0.8), rng.uniform(0.5, 1.5))
        patch = blank()
        for _ in range(6):
            spot = (centre[0] + rng.normal(0, 0.1), centre[1] + rng.normal(0, 0.1))
            fill(
                patch,
                chest.to_pixels(
                    ellipse(spot, (rng.uniform(0.04, 0.16), rng.uniform(0.04, 0.12)), rng.uniform(0, 3))
                ),
                int(rng.integers(40, 150)),
            )
        extra = cv2.max(extra, blur(patch, 7.0))
    for _ in range(rng.poisson(0.15)):
        spot = (rng.choice([-1, 1]) * rng.uniform(0.25, 0.85), rng.uniform(0.3, 1.6))
        fill(extra, chest.to_pixels(ellipse(spot, (0.04, 0.04))), 160)
    for side in (-1, 1):
        if rng.random() < 0.12:
            level = chest.dome_height(side) + rng.uniform(-0.45, 0.05)
            curve = np.array(
                [
                    [0.0, level + 0.1],
                    [0.5, level + 0.08],
                    [0.85, level - 0.05],
                    [1.1, level - 0.3],
                    [1.1, 3.0],
                    [0.0, 3.0],
                ]
            ) * (side, 1)
            extra = cv2.max(extra, blur(shape(chest.to_pixels(curve)), 3.0))
    return density + ((256 - density) * extra.astype(np.int32)) // 255


def pleural_line(found: Pneumothorax, layer: Layer) -> Layer:
    """Draw the visceral pleura on a FULL layer, 2 pixels wide (about 0.6 mm with its blur)."""
    gaps = np.flatnonzero(np.hypot(*np.diff(found.line, axis=0).T) > 60)
    for piece in np.split(found.line, gaps + 1):
        if len(piece) > 1:
            stroke(layer, piece, 255, 2)
    return layer
