"""Other findings, which must be confused neither with a pneumothorax nor with a normal lung.

Dense: consolidation, nodules, effusion, plates of atelectasis, fissures, reticular fibrosis. Lucent: emphysema, bullae.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.phantom.canvas import (
    WORK,
    Layer,
    blank,
    blur,
    fill,
    noise,
    open_curve,
    resize,
    stroke,
    times,
    tint,
)
from imaging.phantom.chest.anatomy import Chest
from imaging.phantom.chest.tissue import SIDES, blob


def opacities(chest: Chest, rng: np.random.Generator, density: NDArray[np.int32]) -> NDArray[np.int32]:
    """Fill some of the lung with fluid: density of the lungs on the WORK grid, 256 = water."""
    extra = cv2.max(_consolidations(chest, rng), _nodules(chest, rng))
    extra = cv2.max(extra, _plates(chest, rng))
    if rng.random() < 0.12:
        extra = cv2.max(extra, _reticulation(chest, rng))
    if rng.random() < 0.14:
        density = _emphysema(chest, rng, density)
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


def _plates(chest: Chest, rng: np.random.Generator) -> Layer:
    """Thin lines: the minor fissure, and plates of collapsed lung, mostly low and nearly horizontal."""
    layer = blank()
    if rng.random() < 0.25:
        y = rng.uniform(0.85, 1.05) * chest.height
        fissure = np.array([[-0.3, y + rng.normal(0, 0.04)], [-0.6, y], [-0.95, y + rng.normal(0, 0.06)]])
        stroke(layer, chest.to_pixels(open_curve(fissure)), int(rng.integers(25, 60)), 1)
    for _ in range(rng.poisson(0.5)):
        at = np.array([(1 if rng.random() < 0.5 else -1) * rng.uniform(0.3, 0.8), rng.uniform(0.7, 1.6)])
        half = rng.uniform(0.08, 0.25) * np.array([1.0, rng.normal(0, 0.4)])
        bend = rng.normal(0, 0.03, 2)
        line = open_curve(np.stack([at - half, at + bend, at + half]) * (1, chest.height))
        stroke(layer, chest.to_pixels(line), int(rng.integers(40, 140)), int(rng.integers(1, 5)))
    return blur(layer, 0.8)


def _reticulation(chest: Chest, rng: np.random.Generator) -> Layer:
    """Fibrosis or oedema: a net of fine lines, strongest at the bases or evenly spread."""
    net = np.abs(noise(rng, WORK, int(rng.integers(3, 6))).astype(np.int32))
    lines = np.clip(255 - net // 2, 0, 255) * int(rng.integers(20, 70)) >> 8
    y = (np.arange(WORK) - chest.pose.y) / chest.pose.unit
    low = np.interp(y, [0.2, 1.5], [rng.uniform(0, 1), 1.0])
    return (lines * np.round(low * 255).astype(np.int32)[:, None] >> 8).astype(np.uint8)


def _emphysema(chest: Chest, rng: np.random.Generator, density: NDArray[np.int32]) -> NDArray[np.int32]:
    """Lungs with less tissue, some with bullae: round, empty, and bordered by a hairline."""
    density = density * round(256 * rng.uniform(0.6, 0.9)) >> 8
    for _ in range(rng.poisson(0.9)):
        spot = (
            (1 if rng.random() < 0.5 else -1) * rng.uniform(0.3, 0.8),
            rng.uniform(0.15, 1.5) * chest.height,
        )
        outline = chest.to_pixels(blob(spot, rng.uniform(0.08, 0.3), rng.uniform(0.7, 1.2), rng))
        inside = fill(blank(), outline, int(rng.integers(60, 190)))
        wall = stroke(blank(), np.concatenate([outline, outline[:1]]), int(rng.integers(20, 90)), 1)
        density = density - (density * blur(inside, 1.0).astype(np.int32) >> 8)
        density = density + ((256 - density) * blur(wall, 0.6).astype(np.int32) >> 8)
    return density


def _effusion(chest: Chest, side: int, rng: np.random.Generator) -> Layer:
    """Fluid with a meniscus at the lateral wall; in a supine patient a diffuse veil."""
    level = chest.dome_height(side) + rng.uniform(-0.4, 0.1)
    points = np.array([[0.0, 0.12], [0.35, 0.1], [0.65, 0.04], [0.88, -0.12], [1.05, -0.4], [1.1, -0.45]])
    surface = open_curve(points + np.array([0.0, level])) * (side, 1)
    outline = np.concatenate([surface, [[side * 1.2, 3.0], [0.0, 3.0]]])
    layer = fill(blank(WORK // 2), chest.to_pixels(outline, WORK // 2), 110 if chest.pose.supine else 235)
    return resize(blur(layer, 7.0 if chest.pose.supine else 1.6), WORK)
