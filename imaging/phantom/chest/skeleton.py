"""Bones: ribs, clavicles, shoulder blades, arms and spine, as layers of attenuation.

A rib is a tilted ring: it leaves the spine, runs down to the side wall and comes back in front. Each bone has a thin bright
cortex around a fainter inside, as tubes have in projection.
"""

from __future__ import annotations

import numpy as np

from imaging.phantom.canvas import (
    Depth,
    Layer,
    Points,
    add,
    band,
    blank,
    blur,
    closed_curve,
    ellipse,
    fill,
    open_curve,
    scaled,
    stroke,
)
from imaging.phantom.chest.anatomy import Chest

RIBS = 11
"""Pairs of ribs that are drawn; the twelfth is hidden in the abdomen."""
TURN = 0.56
"""Fraction of its length at which a rib turns from posterior to anterior."""


def rib(chest: Chest, side: int, number: int) -> tuple[Points, Points]:
    """Centre line (34, 2) from spine to cartilage and half-widths (34,) of one rib, in anatomical units."""
    height, slope = chest.height, chest.build.rib_slope
    start = (0.0 + 0.176 * number) * height
    drop = (0.40 + 0.66 * min(number / 5, 1.0)) * slope
    phi = np.linspace(0.12, np.pi * (0.70 if number < 6 else 0.60), 34)
    back = phi < np.pi / 2
    y = start + drop * (1 - np.cos(phi)) / 2 - 0.045 * np.sin(2 * phi) * back
    reach = chest.wall(np.maximum(start + drop / 2, 0.0)) * 1.02
    x = np.where(back, np.maximum(reach * np.sin(phi) ** 0.8, 0.10), reach * np.sin(phi) ** 0.8)
    lean = -0.8 * chest.pose.turned * ~back * np.cos(phi)
    width = 0.035 + 0.012 * (phi / np.pi) ** 2 + 0.001 * min(number, 4)
    return np.stack([x * side + lean + chest.midline(y) * np.cos(phi) ** 2, y], 1), width


def rib_layers(chest: Chest) -> Depth:
    """All ribs: posterior parts dense, anterior ones fainter, wider and blurred where they become cartilage."""
    behind, before = blank(), blank()
    for side in (-1, 1):
        for number in range(RIBS):
            line, width = rib(chest, side, number)
            outline, turn = chest.to_pixels(line), int(len(line) * TURN)
            half = width * chest.pose.unit
            _tube(behind, outline[: turn + 1], half[: turn + 1], 135, 255)
            _tube(before, outline[turn - 1 :], half[turn - 1 :], 135, 225)
    young = 0.75 if chest.build.age < 14 else 1.0
    strength = young * chest.build.bone
    return add(scaled(blur(behind, 0.8), 14.0 * strength), scaled(blur(before, 1.0), 9.5 * strength))


def _bone(layer: Layer, polygon: Points, inside: int, cortex: int, thickness: int = 1) -> None:
    """A closed bone in projection: fill, then a bright border."""
    fill(layer, polygon, inside)
    stroke(layer, np.concatenate([polygon, polygon[:1]]), cortex, thickness)


def _tube(
    layer: Layer, line: Points, width: Points | float, inside: int, cortex: int, thickness: int = 1
) -> None:
    """A long bone that continues beyond the drawing: its ends have no border."""
    outline = band(line, width)
    fill(layer, outline, inside)
    stroke(layer, outline[: len(line)], cortex, thickness)
    stroke(layer, outline[len(line) :], cortex, thickness)


def girdle(chest: Chest) -> Depth:
    """Clavicles, shoulder blades and upper arms."""
    strong, thin = blank(), blank()
    for side in (-1, 1):
        _blade(thin, chest, side)
        _upper_arm(strong, chest, side)
        _clavicle(strong, chest, side)
    strength = chest.build.bone
    return add(scaled(blur(strong, 0.8), 38.0 * strength), scaled(blur(thin, 0.9), 26.0 * strength))


def _clavicle(layer: Layer, chest: Chest, side: int) -> None:
    lift = 0.03 - 0.11 * chest.pose.shoulders + (0.012 if side > 0 else 0.0)
    points = np.array([[0.12, 0.30], [0.28, 0.235], [0.52, 0.12], [0.82, 0.045], [1.14, 0.03]])
    points[:, 1] += lift
    points[:, 0] = points[:, 0] * side + chest.pose.turned
    line = open_curve(points)
    along = np.linspace(0, 1, len(line))
    width = np.interp(
        along, [0, 0.04, 0.15, 0.5, 0.9, 0.97, 1], [0.02, 0.046, 0.037, 0.03, 0.038, 0.034, 0.012]
    )
    _bone(layer, chest.to_pixels(band(line, width)), 140, 255)


def _blade(layer: Layer, chest: Chest, side: int) -> None:
    over = 0.27 * chest.pose.shoulders
    border = [
        [1.3, 0.04],
        [1.1, 0.12],
        [1.0, 0.35],
        [1.02, 0.75],
        [1.08, 1.02],
        [1.16, 0.9],
        [1.27, 0.5],
        [1.37, 0.24],
    ]
    pull = np.array([0.0, 0.55, 1.0, 1.0, 1.0, 0.9, 0.4, 0.0])
    points = np.array(border)
    points[:, 0] -= over * pull
    _bone(layer, chest.to_pixels(closed_curve(points) * (side, 1)), 60, 200)
    ridge = np.array([[1.02 - over, 0.32], [1.2 - over * 0.5, 0.15], [1.42, 0.0], [1.53, 0.04]])
    width = np.concatenate([np.linspace(0.006, 0.042, 10), np.full(9, 0.042), np.linspace(0.04, 0.01, 6)])
    _bone(layer, chest.to_pixels(band(open_curve(ridge), width) * (side, 1)), 150, 230)
    _bone(layer, chest.to_pixels(ellipse((side * 1.28, 0.14), (0.06, 0.05))), 170, 255)


def _upper_arm(layer: Layer, chest: Chest, side: int) -> None:
    out = 0.3 * (1 - chest.pose.shoulders)
    shaft = open_curve(
        np.array([[1.5, 0.26], [1.56 + out * 0.6, 0.9], [1.56 + out, 1.9], [1.56 + 2 * out, 3.4]])
    ) * (side, 1)
    _tube(layer, chest.to_pixels(shaft), chest.radius(0.075), 110, 235, 2)
    _bone(layer, chest.to_pixels(ellipse((side * 1.48, 0.22), (0.16, 0.165))), 165, 230)


def spine(chest: Chest) -> Depth:
    """Vertebral bodies with discs, pedicles, spinous and transverse processes, from neck to lumbar spine."""
    bodies, details = blank(), blank()
    y = top = -0.75
    while y < 3.0:
        grow = float(np.clip((y - top) / 3.0, 0, 1))
        step, half = 0.13 + 0.10 * grow, 0.11 + 0.05 * grow
        _vertebra(bodies, details, chest, (float(chest.midline(np.array(y))), y), half, step)
        y += step
    return add(
        scaled(blur(bodies, 1.6), 22.0 * chest.build.bone),
        scaled(blur(details, 1.0), 12.0 * chest.build.bone),
    )


def _vertebra(
    bodies: Layer, details: Layer, chest: Chest, at: tuple[float, float], half: float, step: float
) -> None:
    x, y = at
    corners = np.array([[-1, -1], [-0.86, 0], [-1, 1], [0, 0.92], [1, 1], [0.86, 0], [1, -1], [0, -0.92]])
    _bone(bodies, chest.to_pixels(closed_curve(corners * (half, step * 0.44) + at, 4)), 190, 225)
    process = band(np.array([[x - half * 1.75, y - 0.02], [x + half * 1.75, y - 0.02]]), 0.022)
    fill(details, chest.to_pixels(process), 90)
    for side in (-1, 1):
        _bone(details, chest.to_pixels(ellipse((x + side * half * 0.66, y - 0.02), (0.018, 0.03))), 70, 200)
    _bone(details, chest.to_pixels(ellipse((x, y + step * 0.35), (0.018, 0.05))), 150, 220)
