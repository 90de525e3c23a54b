"""What the beam passes: soft tissue, air, vessels and lung texture as depths in 1/32 mm of water."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from imaging.phantom.anatomy import Chest
from imaging.phantom.canvas import (
    WORK,
    Depth,
    Layer,
    Points,
    blank,
    blur,
    bulge,
    ellipse,
    fill,
    noise,
    resize,
    scaled,
    shape,
    stroke,
    times,
)

AERATED = 0.26
"""Density of an aerated lung relative to water (about 0.25 at full inspiration; ICRU 44 gives 0.26)."""
LUNG_DEPTH = 148.0
"""Depth of the lung in millimetres, front to back, where it is thickest."""


@dataclass(frozen=True)
class Lungs:
    """Air-bearing depth and outlines on the WORK grid."""

    air: Depth
    """Depth of lung, 1/32 mm, where no heart or mediastinum takes its place."""
    envelope: dict[int, Layer]
    """Pleural space by side (-1 right, +1 left), 255 inside, diaphragm and heart included."""
    field: dict[int, Layer]
    """What is seen as lung: the envelope above the diaphragm."""


def body(chest: Chest, rng: np.random.Generator) -> Depth:
    """Chest wall and belly without lungs: the largest of overlapping rounded parts, so that borders meet without seams."""
    half = WORK // 2
    stout = chest.build.stout

    def part(polygon: Points, radius: float, mm: float) -> Depth:
        return bulge(shape(chest.to_pixels(polygon, half), half), chest.radius(radius, half), mm)

    depth = part(chest.torso(), 0.75, 205 + 80 * stout)
    depth = cv2.max(depth, part(chest.neck(), 0.33, 125 + 30 * stout))
    for side in (-1, 1):
        depth = cv2.max(depth, part(chest.shoulders(side), 0.5, 120 + 50 * stout))
        depth = cv2.max(depth, part(chest.arm(side), 0.22, 88 + 40 * stout))
    depth = resize(blur(depth, 1.6), WORK)
    lumps = noise(rng, WORK, 48).astype(np.int32) * 2 + noise(rng, WORK, 16)
    return (depth.astype(np.int32) * (16384 + lumps) // 16384).astype(np.uint16)


def lungs(chest: Chest) -> Lungs:
    """Lung depth: a rounded space, cut by the diaphragm's dome and filled by heart and mediastinum."""
    air = np.zeros((WORK, WORK), np.uint16)
    envelopes, fields = {}, {}
    for side in (-1, 1):
        envelope = shape(chest.to_pixels(chest.envelope(side)))
        below = shape(chest.to_pixels(chest.below_diaphragm(side)))
        depth = bulge(envelope, chest.radius(0.42), LUNG_DEPTH * (0.75 + 0.25 * chest.pose.inspiration))
        recess = cv2.subtract(np.full_like(below, 255), scaled(below, 225 / 32).astype(np.uint8))
        air = cv2.max(air, times(depth, blur(recess, 0.7)))
        envelopes[side] = envelope
        fields[side] = cv2.min(envelope, cv2.bitwise_not(below))
    return Lungs(cv2.subtract(air, _solid(chest)), envelopes, fields)


def _solid(chest: Chest) -> Depth:
    heart = bulge(shape(chest.to_pixels(chest.heart())), chest.radius(0.26), 125)
    pedicle = bulge(shape(chest.to_pixels(chest.mediastinum())), chest.radius(0.11), 150)
    return blur(cv2.max(heart, pedicle), 0.8)


def breasts(chest: Chest) -> Depth:
    """Breasts: a soft disc with a visible lower border."""
    depth = np.zeros((WORK, WORK), np.uint16)
    for side in (-1, 1):
        disc = shape(chest.to_pixels(chest.breast(side)))
        depth = cv2.max(depth, bulge(disc, chest.radius(0.42), 46 * chest.build.breast, 1.7))
        if chest.build.sex == "M":
            continue
        fade = shape(chest.to_pixels(ellipse((side * 0.5, 1.05), (0.6, 0.5))))
        depth = times(depth, cv2.bitwise_not(scaled(blur(fade, 14), 150 / 32).astype(np.uint8)))
    return depth


def airways(chest: Chest) -> Depth:
    """Trachea and main bronchi: depth of air to take away."""
    layer = blank()
    for side in (-1, 1):
        fill(layer, chest.to_pixels(chest.bronchus(side)), 120)
    fill(layer, chest.to_pixels(chest.trachea()), 255)
    return scaled(blur(layer, 1.8), 15.0)


def bowel_gas(chest: Chest, rng: np.random.Generator) -> Depth:
    """Gas in stomach and colon: depth of air to take away."""
    layer = blank()
    if rng.random() < 0.7:
        top = chest.dome_height(1)
        centre = (rng.uniform(0.35, 0.6), top + rng.uniform(0.1, 0.22))
        fill(layer, chest.to_pixels(ellipse(centre, (rng.uniform(0.12, 0.24), rng.uniform(0.05, 0.12)))), 255)
    for _ in range(rng.integers(0, 8)):
        centre = (rng.uniform(-0.3, 0.85), chest.dome_height(1) + rng.uniform(0.3, 0.9))
        radii = (rng.uniform(0.04, 0.12), rng.uniform(0.03, 0.09))
        fill(layer, chest.to_pixels(ellipse(centre, radii, rng.uniform(-1, 1))), int(rng.integers(90, 230)))
    return scaled(blur(layer, 2.0), 42.0)


def vessels(chest: Chest, rng: np.random.Generator, retract: Callable[[int, Points], Points]) -> Depth:
    """Pulmonary vessels of both lungs: trees that leave the hilum, branch and thin out.

    `retract(side, points)` moves points in pixels as a collapsing lung does (disease.py); the identity in a healthy one.
    """
    layer = blank()
    for side in (-1, 1):
        lines = _tree(chest, side, rng)
        lines.sort(key=lambda item: item[1])
        for points, radius in lines:
            _draw_vessel(layer, retract(side, chest.to_pixels(points)), chest.radius(radius))
        _hilum(layer, chest, side, rng)
    return scaled(blur(layer, 0.75), 13.0)


def _draw_vessel(layer: Layer, line: Points, radius: float) -> None:
    """A vessel's brightness is its thickness; below one pixel the width stays and the brightness falls."""
    width = max(1, round(2 * radius))
    stroke(layer, line, int(np.clip(22 + 46 * radius, 22, 230)), width)


def _hilum(layer: Layer, chest: Chest, side: int, rng: np.random.Generator) -> None:
    x, y = chest.hilum(side)
    blob = blank()
    for _ in range(5):
        centre = (x + side * rng.uniform(-0.04, 0.07), y + rng.uniform(-0.12, 0.14))
        fill(
            blob,
            chest.to_pixels(ellipse(centre, (rng.uniform(0.03, 0.06), rng.uniform(0.05, 0.1)), side * 0.4)),
            150,
        )
    np.maximum(layer, blur(blob, 3.0), out=layer)


def _tree(chest: Chest, side: int, rng: np.random.Generator) -> list[tuple[Points, float]]:
    """Branches as (points (n, 2) in anatomical units, radius), all generations."""
    x, y = chest.hilum(side)
    count = 11
    angle = np.linspace(-1.45, 1.5, count) + rng.normal(0, 0.1, count)
    position = np.tile([x, y], (count, 1)) + rng.normal(0, 0.025, (count, 2))
    radius = rng.uniform(0.012, 0.021, count) * np.where(angle > 0, 1.15, 0.9)
    lines: list[tuple[Points, float]] = []
    for generation in range(6):
        position, angle, radius = _grow(lines, side, position, angle, radius, generation, rng)
    return lines


def _grow(
    lines: list[tuple[Points, float]],
    side: int,
    position: Points,
    angle: np.ndarray,
    radius: np.ndarray,
    generation: int,
    rng: np.random.Generator,
) -> tuple[Points, np.ndarray, np.ndarray]:
    count = len(angle)
    length = rng.uniform(0.12, 0.26, count) * 0.93**generation
    middle_angle, end_angle = angle + rng.normal(0, 0.10, count), angle + rng.normal(0, 0.22, count)
    half = (length / 2)[:, None]
    step = np.array([side, 1.0])
    middle = position + half * step * np.stack([np.cos(middle_angle), np.sin(middle_angle)], 1)
    end = middle + half * step * np.stack([np.cos(end_angle), np.sin(end_angle)], 1)
    for row in range(count):
        lines.append((np.stack([position[row], middle[row], end[row]]), float(radius[row])))
    fork = rng.uniform(0.2, 0.55, count)
    share = rng.uniform(0.62, 0.88, count)
    both = np.concatenate([share, 1.35 - share])
    children = np.concatenate([radius, radius]) * np.clip(both, 0.4, 0.88)
    turned = np.concatenate([end_angle + fork * (1 - share), end_angle - fork * share])
    kept = (children > 0.0012) & (rng.random(2 * count) < 0.85)
    return np.concatenate([end, end])[kept], turned[kept], children[kept]


def parenchyma(chest: Chest, rng: np.random.Generator) -> np.ndarray:
    """Density of the lung on the WORK grid, 256 = water (int32): aerated with a fine and a coarse grain."""
    crowded = AERATED * (1 + 0.45 * (1 - chest.pose.inspiration))
    grain = noise(rng, WORK, 64).astype(np.int32) + noise(rng, WORK, 12) // 2 + noise(rng, WORK, 5) // 2
    rough = 30 + int(40 * rng.beta(1.2, 5))
    return (round(256 * crowded) * (8192 + rough * grain // 16)) // 8192
