"""Other findings, to be confused neither with a pneumothorax nor with a normal lung: consolidation, nodules, effusion."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.phantom.canvas import WORK, Layer, blank, blur, fill, noise, open_curve, resize, times, tint
from imaging.phantom.chest.anatomy import Chest
from imaging.phantom.chest.tissue import SIDES, blob


def opacities(chest: Chest, rng: np.random.Generator, density: NDArray[np.int32]) -> NDArray[np.int32]:
    """Fill some of the lung with fluid: density of the lungs on the WORK grid, 256 = water."""
    extra = cv2.max(_consolidations(chest, rng), _nodules(chest, rng))
    for side in SIDES:
        if rng.random() < 0.13:
            extra = cv2.max(extra, _effusion(chest, side, rng))
    if not extra.any():
        return density
    return density + ((256 - density) * extra.astype(np.int32) >> 8)


def _consolidations(chest: Chest, rng: np.random.Generator) -> Layer:
    """Patches without a sharp border, unevenly dense."""
    layer = blank(WORK // 2)
    for _ in range(rng.poisson(0.6)):
        side, size = (1 if rng.random() < 0.5 else -1), rng.uniform(0.06, 0.2)
        x, y = side * rng.uniform(0.3, 0.75), rng.uniform(0.5, 1.5) * chest.height
        patch = blank(WORK // 2)
        for _ in range(5):
            spot = (x + rng.normal(0, size * 0.6), y + rng.normal(0, size * 0.6))
            fill(
                patch,
                chest.to_pixels(blob(spot, size * rng.uniform(0.5, 1.0), 0.8, rng), WORK // 2),
                int(rng.integers(30, 130)),
            )
        layer = cv2.max(layer, blur(patch, 6.0))
    if not layer.any():
        return blank()
    uneven = np.clip(tint(noise(rng, WORK // 2, 5)) >> 2, 0, 255) // 2 + 64
    return resize(times(layer, uneven).astype(np.uint8), WORK)


def _nodules(chest: Chest, rng: np.random.Generator) -> Layer:
    layer, count = blank(), rng.poisson(0.12)
    for _ in range(count):
        spot = (
            (1 if rng.random() < 0.5 else -1) * rng.uniform(0.3, 0.8),
            rng.uniform(0.3, 1.5) * chest.height,
        )
        fill(
            layer, chest.to_pixels(blob(spot, rng.uniform(0.025, 0.06), 1.0, rng)), int(rng.integers(50, 110))
        )
    return blur(layer, 2.0) if count else layer


def _effusion(chest: Chest, side: int, rng: np.random.Generator) -> Layer:
    """Fluid with a meniscus at the lateral wall; in a supine patient a diffuse veil."""
    level = chest.dome_height(side) + rng.uniform(-0.4, 0.1)
    points = np.array([[0.0, 0.12], [0.35, 0.1], [0.65, 0.04], [0.88, -0.12], [1.05, -0.4], [1.1, -0.45]])
    surface = open_curve(points + np.array([0.0, level])) * (side, 1)
    outline = np.concatenate([surface, [[side * 1.2, 3.0], [0.0, 3.0]]])
    layer = fill(blank(WORK // 2), chest.to_pixels(outline, WORK // 2), 110 if chest.pose.supine else 235)
    return resize(blur(layer, 7.0 if chest.pose.supine else 1.6), WORK)
