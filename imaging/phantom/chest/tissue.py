"""Soft tissue, air and lung texture as depths in 1/32 mm of water."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.phantom.canvas import (
    WORK,
    Depth,
    Layer,
    Points,
    band,
    blank,
    blur,
    bulge,
    closed_curve,
    ellipse,
    fill,
    noise,
    open_curve,
    resize,
    scaled,
    shape,
    times,
    tint,
)
from imaging.phantom.chest.anatomy import Chest

AERATED = 0.26
"""Density of an aerated lung relative to water (ICRU report 44)."""
LUNG_DEPTH = 150.0
"""Largest front-to-back depth of the lung in millimetres."""
WALL_MM = 55
"""Minimum that skin, muscle and ribs add to the lung, front and back together."""
SIDES = (-1, 1)


@dataclass(frozen=True)
class Lungs:
    """Air-bearing depth and outlines on the WORK grid."""

    air: Depth
    """Depth of lung not occupied by heart or mediastinum."""
    envelope: dict[int, Layer]
    """Pleural space by side (-1 right, +1 left), 255 inside, including what is behind diaphragm and heart."""
    field: dict[int, Layer]
    """Visible lung: the envelope without diaphragm, heart and mediastinum."""

    @property
    def visible(self) -> Layer:
        """Both fields."""
        return cv2.max(self.field[-1], self.field[1])


def body(chest: Chest, rng: np.random.Generator) -> Depth:
    """Chest wall and abdomen without lungs: the maximum of overlapping rounded parts, so that they join without seams."""
    stout = chest.build.stout
    depth = _part(chest, chest.torso(), 1.05, 222 + 80 * stout)
    depth = cv2.max(depth, _part(chest, chest.neck(), 0.33, 150 + 45 * stout))
    depth = cv2.max(depth, _part(chest, chest.head(), 0.3, 210))
    for side in SIDES:
        depth = cv2.max(depth, _part(chest, chest.shoulders(side), 0.5, 150 + 60 * stout))
        depth = cv2.max(depth, _part(chest, chest.arm(side), 0.22, 88 + 40 * stout))
    depth = times(depth, _deeper_downwards(chest))
    lumps = noise(rng, WORK // 2, 24) + noise(rng, WORK // 2, 7) // 2
    depth = blur(depth, 1.4).astype(np.int32)
    return resize((depth * (16384 + lumps) >> 14).astype(np.uint16), WORK)


def _deeper_downwards(chest: Chest) -> Layer:
    """Front-to-back depth of the trunk relative to the abdomen's (255) by height, on half the WORK grid."""
    y = (np.arange(WORK // 2) * 2 - chest.pose.y) / chest.pose.unit
    share = np.interp(y, [-0.6, 0.0, 0.6, 1.2, 1.8], [0.66, 0.72, 0.82, 0.93, 1.0])
    return np.round(share * 255).astype(np.uint8)[:, None].repeat(WORK // 2, 1)


def _part(chest: Chest, polygon: Points, radius: float, mm: float, flatness: float = 2.0) -> Depth:
    """One rounded part at half the WORK resolution."""
    half = WORK // 2
    return bulge(shape(chest.to_pixels(polygon, half), half), chest.radius(radius, half), mm, flatness)


def lungs(chest: Chest) -> Lungs:
    """Lung depth: a rounded space, cut by the diaphragm's dome and filled by heart and mediastinum."""
    envelope, field, spaces = {}, {}, []
    full = LUNG_DEPTH * (0.75 + 0.25 * chest.pose.inspiration)
    for side in SIDES:
        envelope[side] = shape(chest.to_pixels(chest.envelope(side)))
        field[side] = visible_lung(chest, side)
        depth = resize(blur(_part(chest, chest.envelope(side), 0.42, full, 2.4), 1.1), WORK)
        spaces.append(times(depth, _above_diaphragm(chest, side)))
    heart = _part(chest, chest.heart(), 0.34, 105)
    pedicle = _part(chest, chest.mediastinum(), 0.14, 125)
    solid = resize(blur(cv2.max(heart, pedicle), 1.0), WORK)
    return Lungs(cv2.subtract(cv2.max(*spaces), solid), envelope, field)


def _above_diaphragm(chest: Chest, side: int) -> Layer:
    """Share of the lung's depth, 255 above the dome; below it the thin recess behind the abdomen, which tapers off."""
    dome, half = chest.below_diaphragm(side), WORK // 2
    recess = np.full((half, half), 48, np.uint8)
    for step, value in enumerate((36, 22, 10, 0), start=1):
        fill(recess, chest.to_pixels(dome + np.array([0.0, 0.07 * step]), half), value)
    above = fill(np.full((WORK, WORK), 255, np.uint8), chest.to_pixels(dome), 0)
    return cv2.max(blur(above, 0.7), resize(blur(recess, 4.0), WORK))


def visible_lung(chest: Chest, side: int, size: int = WORK, outline: Points | None = None) -> Layer:
    """One side's lung field, 255 inside; `outline` (pixels) replaces the envelope's."""
    layer = shape(chest.to_pixels(chest.envelope(side), size) if outline is None else outline, size)
    for part in (chest.below_diaphragm(side), chest.heart(), chest.mediastinum()):
        fill(layer, chest.to_pixels(part, size), 0)
    return layer


def front(chest: Chest) -> Depth:
    """Chest muscles, and breasts with a visible lower and no upper border."""
    depth: Depth = np.zeros((WORK // 2, WORK // 2), np.uint16)
    muscle = blank(WORK // 2)
    for side in SIDES:
        depth = cv2.max(depth, _part(chest, chest.breast(side), 0.42, 50 * chest.build.breast))
        fill(muscle, chest.to_pixels(chest.pectoral(side), WORK // 2), 255)
    ramp = np.clip((np.arange(WORK // 2) - chest.pose.y / 2) / chest.pose.unit * 2 - 0.95, 0, 0.5) * 2
    fade = np.round(ramp * 255).astype(np.uint8)[:, None].repeat(WORK // 2, 1)
    muscles = scaled(blur(muscle, 3.5), 17.0 * chest.build.muscle)
    return resize(cv2.add(times(depth, fade), muscles), WORK)


def airways(chest: Chest) -> Depth:
    """Trachea and main bronchi: depth of air to subtract."""
    layer = blank()
    for side in SIDES:
        fill(layer, chest.to_pixels(chest.bronchus(side)), 130)
    fill(layer, chest.to_pixels(chest.trachea()), 255)
    return scaled(blur(layer, 1.6), 24.0)


def bowel_gas(chest: Chest, rng: np.random.Generator) -> Depth:
    """Gas in stomach and colon: depth of air to subtract."""
    layer = blank()
    dome = chest.dome_height(1)
    if rng.random() < 0.6:
        stomach = (rng.uniform(0.3, 0.55), dome + rng.uniform(0.14, 0.28))
        fill(
            layer, chest.to_pixels(blob(stomach, rng.uniform(0.1, 0.2), 0.5, rng)), int(rng.integers(80, 255))
        )
    loops = rng.integers(0, 7)
    x, y = rng.uniform(0.0, 0.7), dome + rng.uniform(0.35, 0.8)
    for _ in range(loops):
        x, y = x + rng.uniform(-0.22, 0.18), y + rng.uniform(-0.08, 0.12)
        fill(
            layer, chest.to_pixels(blob((x, y), rng.uniform(0.04, 0.1), 0.8, rng)), int(rng.integers(60, 200))
        )
    return scaled(blur(layer, 1.6), 34.0)


def air_under_skin(chest: Chest, rng: np.random.Generator) -> Depth:
    """Subcutaneous emphysema: streaks of air in the soft tissue beside the ribs and above the clavicles, to subtract."""
    layer = blank(WORK // 2)
    for side in SIDES if rng.random() < 0.4 else (SIDES[int(rng.integers(0, 2))],):
        beside = open_curve(np.array([[0.35, -0.3], [0.8, -0.1], [1.12, 0.5], [1.18, rng.uniform(0.9, 1.7)]]))
        width = np.linspace(0.12, rng.uniform(0.1, 0.25), len(beside))
        fill(layer, chest.to_pixels(band(beside, width) * (side, 1), WORK // 2), 255)
    grain = (
        np.clip(noise(rng, WORK // 2, 3).astype(np.int32) + noise(rng, WORK // 2, 8) // 2, 0, 600)
        * 255
        // 600
    )
    streaks = (blur(layer, 4.0).astype(np.int32) * grain >> 8).astype(np.uint8)
    return resize(scaled(streaks, rng.uniform(8, 30)), WORK)


def blob(centre: tuple[float, float], radius: float, flat: float, rng: np.random.Generator) -> Points:
    """An irregular round outline, (64, 2)."""
    outline = ellipse((0.0, 0.0), (radius, radius * flat), 0.0, 8) * rng.uniform(0.75, 1.3, (8, 1))
    return closed_curve(outline + centre)


def parenchyma(chest: Chest, rng: np.random.Generator) -> NDArray[np.int32]:
    """Density of the lung on the WORK grid, 256 = water: aerated, unevenly and unequally so, with coarse and fine texture.

    Zones of several centimetres differ in density, and so do the two lungs, most of all in a rotated patient.
    """
    crowded = AERATED * (1 + 0.5 * (1 - chest.pose.inspiration))
    rough = round(256 * rng.uniform(0.6, 1.9))
    coarse = resize(tint(noise(rng, WORK // 4, 16)), WORK).astype(np.int32)
    fine = noise(rng, WORK, 3).astype(np.int32) + noise(rng, WORK, 6) // 2
    grain = (coarse - 1024 >> 1) + (fine * rough >> 10)
    zones = resize(tint(noise(rng, WORK // 8, 20)), WORK).astype(np.int32) - 1024
    middle = float(chest.to_pixels(np.array([[chest.pose.turned, 0.8]]))[0, 0])
    unequal = np.interp(np.arange(WORK), [middle - 20, middle + 20], np.array([-1, 1]) * rng.normal(0, 0.06))
    unequal = unequal + 1.2 * chest.pose.turned * np.sign(np.arange(WORK) - middle)
    level = 8192 + 3 * grain + (zones * round(256 * rng.uniform(0.5, 3.5)) >> 8)
    uneven = level * np.clip(np.round((1 + unequal) * 256), 150, 360).astype(np.int32) >> 8
    return (round(256 * crowded) * uneven) >> 13
