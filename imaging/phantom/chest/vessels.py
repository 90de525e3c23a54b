"""Pulmonary vessels: trees that branch and taper from the hilum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from imaging.phantom.canvas import (
    WORK,
    Depth,
    Layer,
    Points,
    blank,
    blur,
    ellipse,
    fill,
    fixed,
    resize,
    scaled,
)
from imaging.phantom.chest.anatomy import Chest

GENERATIONS = 6
"""Generations of branching from the hilum to the last visible vessel."""
LEVELS = 24
"""Steps of brightness; vessels of one step are drawn in one call."""


@dataclass(frozen=True)
class Twigs:
    """The growing ends of a vessel tree: position (N, 2), direction and radius (N,), in anatomical units."""

    position: Points
    angle: Points
    radius: Points


def vessels(chest: Chest, rng: np.random.Generator, retract: Callable[[int, Points], Points]) -> Depth:
    """Vessels of both lungs on the WORK grid.

    `retract(side, points)` moves points in pixels as a collapsing lung does (lung_collapse.py); the identity in a healthy one.
    """
    layer, hila = blank(), blank(WORK // 2)
    for side in (-1, 1):
        lines, radius = _tree(chest, side, rng)
        pixels = retract(side, chest.to_pixels(lines.reshape(-1, 2))).reshape(lines.shape)
        _draw(layer, pixels, radius * chest.pose.unit)
        _hilum(hila, chest, side, rng)
    return cv2.add(scaled(blur(layer, 0.5), 22.0), scaled(resize(blur(hila, 2.2), WORK), 30.0))


def _draw(layer: Layer, lines: Points, radius: Points) -> None:
    """Draw vessels: brightness follows thickness; below one pixel the width stays and the brightness falls."""
    level = np.clip(radius * 6, 0, LEVELS - 1).astype(int)
    for step in np.unique(level):
        thick = (step + 0.5) / 6
        value = int(np.clip(18 + 40 * thick, 0, 235))
        group = list(fixed(lines[level == step].reshape(-1, 2)).reshape(-1, 3, 1, 2))
        cv2.polylines(layer, group, False, value, max(1, round(1.7 * thick)), cv2.LINE_AA, 4)


def _hilum(layer: Layer, chest: Chest, side: int, rng: np.random.Generator) -> None:
    """The hilum: large vessels and nodes, without a sharp border."""
    x, y = chest.hilum(side)
    for _ in range(9):
        centre = (x + side * rng.uniform(-0.12, 0.1), y + rng.normal(0, 0.13))
        size = (rng.uniform(0.02, 0.05), rng.uniform(0.04, 0.09))
        fill(
            layer, chest.to_pixels(ellipse(centre, size, side * -0.4), WORK // 2), int(rng.integers(90, 200))
        )


def _tree(chest: Chest, side: int, rng: np.random.Generator) -> tuple[Points, Points]:
    """All branches of one lung: (N, 3, 2) points and (N,) radii in anatomical units."""
    count = 12
    angle = np.linspace(-1.5, 1.55, count) + rng.normal(0, 0.14, count)
    position = np.array(chest.hilum(side)) + rng.normal(0, 1, (count, 2)) * (0.03, 0.07)
    radius = rng.uniform(0.009, 0.019, count) * np.where(angle > 0, 1.2, 0.9)
    twigs, lines, radii = Twigs(position, angle, radius), [], []
    for generation in range(GENERATIONS):
        path, end_angle = _extend(twigs, side, 0.93**generation, rng)
        lines.append(path)
        radii.append(twigs.radius)
        twigs = _fork(path[:, 2], end_angle, twigs.radius, rng)
    return np.concatenate(lines), np.concatenate(radii)


def _extend(twigs: Twigs, side: int, shrink: float, rng: np.random.Generator) -> tuple[Points, Points]:
    """One curved segment per end: points (N, 3, 2), and the direction at its end."""
    count = len(twigs.angle)
    half = rng.uniform(0.04, 0.13, count)[:, None] * shrink
    first, last = twigs.angle + rng.normal(0, 0.2, count), twigs.angle + rng.normal(0, 0.34, count)
    middle = twigs.position + half * np.stack([side * np.cos(first), np.sin(first)], 1)
    end = middle + half * np.stack([side * np.cos(last), np.sin(last)], 1)
    return np.stack([twigs.position, middle, end], 1), last


def _fork(ends: Points, angle: Points, radius: Points, rng: np.random.Generator) -> Twigs:
    """Two daughters per end; the thicker one turns less (Murray 1926). Some ends leave the image plane."""
    count = len(angle)
    open_, share = rng.uniform(0.25, 0.8, count), rng.uniform(0.68, 0.92, count)
    flip = rng.integers(0, 2, count) * 2 - 1
    thick, thin = share, np.cbrt(1 - share**3)
    daughters = np.concatenate([radius * thick, radius * thin])
    turned = np.concatenate([angle + flip * open_ * (1 - share) * 1.4, angle - flip * open_ * share])
    kept = (daughters > 0.001) & (rng.random(2 * count) < np.repeat([0.95, 0.72], count))
    return Twigs(np.concatenate([ends, ends])[kept], turned[kept], daughters[kept])
