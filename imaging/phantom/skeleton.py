"""Bones: ribs, clavicles, shoulder blades, arms and spine, as layers of attenuation.

A rib is a tilted ring: it leaves the spine, runs down to the side wall and comes back in front. Each bone has a thin bright
cortex around a fainter inside, as tubes have in projection.
"""

from __future__ import annotations

import numpy as np

from imaging.phantom.anatomy import Chest
from imaging.phantom.canvas import (
    Depth,
    Layer,
    Points,
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


def ribs(chest: Chest) -> tuple[list[tuple[Points, Points]], list[tuple[Points, Points]]]:
    """Posterior and anterior parts of all ribs, each as (centre line, half-widths) in anatomical units."""
    back, front = [], []
    for side in (-1, 1):
        for number in range(11):
            line, width = _rib(chest, side, number)
            turn = int(len(line) * 0.56)
            back.append((line[: turn + 2], width[: turn + 2]))
            front.append((line[turn:], width[turn:]))
    return back, front


def _rib(chest: Chest, side: int, number: int) -> tuple[Points, Points]:
    height, slope = chest.height, chest.build.rib_slope
    start = (0.02 + 0.178 * number) * height
    drop = (0.28 + 0.62 * min(number / 5, 1.0)) * slope * (0.9 if number == 0 else 1.0)
    phi = np.linspace(0.12, np.pi * (0.70 if number < 6 else 0.60), 34)
    y = start + drop * (1 - np.cos(phi)) / 2 - 0.07 * np.sin(2 * phi) * (phi < np.pi / 2)
    reach = chest.wall(np.maximum(start + drop / 2, 0.0)) * 1.015
    x = reach * np.sin(phi) ** 0.72
    x = np.where(phi < np.pi / 2, np.maximum(x, 0.10), x)
    lean = chest.pose.turned * (phi > np.pi / 2) * np.cos(phi) * -0.8
    width = 0.036 + 0.012 * (phi / np.pi) ** 2 + 0.004 * min(number, 4) / 4
    return np.stack([x * side + lean + chest.midline(y) * np.cos(phi) ** 2, y], 1), width


def _bone(layer: Layer, polygon: Points, inside: int, cortex: int, thickness: int = 1) -> None:
    """A tube in projection: fill, then a bright border."""
    fill(layer, polygon, inside)
    stroke(layer, np.vstack([polygon, polygon[:1]]), cortex, thickness)


def rib_layers(chest: Chest) -> Depth:
    """All ribs, 1/32 mm."""
    back, front = ribs(chest)
    behind, before = blank(), blank()
    for line, width in back:
        _bone(behind, chest.to_pixels(band(line, width)), 150, 255)
    for line, width in front:
        _bone(before, chest.to_pixels(band(line, width)), 140, 230)
    strength = 1.0 if chest.build.age > 14 else 0.7
    return scaled(blur(behind, 0.9), 8.0 * strength) + scaled(blur(before, 1.2), 5.2 * strength)


def girdle(chest: Chest) -> Depth:
    """Clavicles, shoulder blades and upper arms, 1/32 mm."""
    hang = chest.pose.shoulders
    clavicles, blades, arms = blank(), blank(), blank()
    for side in (-1, 1):
        lift = -0.1 * hang + (0.0 if side < 0 else 0.015)
        line = open_curve(
            np.array([[0.12, 0.26], [0.3, 0.2], [0.55, 0.11], [0.85, 0.03], [1.12, 0.0]]) + (0, lift + 0.02)
        ) * (side, 1)
        line[:, 0] += chest.pose.turned
        width = np.interp(
            np.linspace(0, 1, len(line)), [0, 0.15, 0.5, 0.9, 1], [0.062, 0.046, 0.04, 0.05, 0.055]
        )
        _bone(clavicles, chest.to_pixels(band(line, width)), 165, 255)
        over = 0.26 * hang
        blade = closed_curve(
            np.array(
                [
                    [1.3, 0.02],
                    [1.08 - over * 0.5, 0.12],
                    [0.98 - over, 0.35],
                    [1.0 - over, 0.75],
                    [1.06 - over, 1.02],
                    [1.14 - over * 0.9, 0.9],
                    [1.26 - over * 0.4, 0.5],
                    [1.36, 0.22],
                ]
            )
        ) * (side, 1)
        _bone(blades, chest.to_pixels(blade), 70, 170)
        spine = open_curve(
            np.array([[1.02 - over, 0.3], [1.2 - over * 0.5, 0.12], [1.42, -0.02], [1.52, 0.02]])
        ) * (side, 1)
        _bone(blades, chest.to_pixels(band(spine, 0.04)), 170, 255)
        _bone(arms, chest.to_pixels(ellipse((side * 1.48, 0.2), (0.16, 0.165))), 150, 200)
        out = 0.3 * (1 - hang)
        shaft = open_curve(np.array([[1.5, 0.24], [1.56 + out * 0.6, 0.9], [1.56 + out, 1.9]])) * (side, 1)
        _bone(arms, chest.to_pixels(band(shaft, 0.08)), 130, 255, 2)
    return scaled(blur(clavicles, 0.9), 11.0) + scaled(blur(blades, 1.0), 7.0) + scaled(blur(arms, 1.0), 15.0)


def spine(chest: Chest) -> Depth:
    """Vertebral bodies with discs, pedicles, spinous and transverse processes, 1/32 mm."""
    bodies, details = blank(), blank()
    top, y = -0.75, -0.75
    while y < 3.0:
        grow = np.clip((y - top) / 3.0, 0, 1)
        step, half = 0.13 + 0.10 * grow, 0.115 + 0.05 * grow
        x = float(chest.midline(y))
        body = np.array([[-1, -1], [-0.86, 0], [-1, 1], [0, 0.9], [1, 1], [0.86, 0], [1, -1], [0, -0.9]]) * (
            half,
            step * 0.41,
        ) + (x, y)
        _bone(bodies, chest.to_pixels(closed_curve(body, 4)), 200, 255)
        process = band(np.array([[x - half * 1.75, y - 0.02], [x + half * 1.75, y - 0.02]]), 0.025)
        fill(details, chest.to_pixels(process), 70)
        for side in (-1, 1):
            _bone(
                details,
                chest.to_pixels(ellipse((x + side * half * 0.66, y - 0.02), (0.02, 0.03), 0)),
                90,
                230,
            )
        _bone(details, chest.to_pixels(ellipse((x, y + step * 0.35), (0.02, 0.055), 0)), 170, 255)
        y += step
    return scaled(blur(bodies, 1.3), 22.0) + scaled(blur(details, 1.1), 9.0)
