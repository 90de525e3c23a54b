"""Cerebrospinal fluid spaces: sulci, fissures, cisterns and ventricles."""

from __future__ import annotations

import cv2
import numpy as np

from imaging.phantom.canvas import Layer, Points, band, blank, closed_curve, fill, open_curve
from imaging.phantom.head import skull as heads
from imaging.phantom.head.skull import Head, Shift, contour, inner_inset, mirror, place


def fissure(head: Head, z: float, shift: Shift) -> list[Points]:
    """Lines of the midline fissure: anterior and posterior, and continuous above the ventricles."""
    reach = head.length * heads.scale(z) - inner_inset(head, z) - 2
    if z > 0.74:
        spans = [(-reach, reach)]
    elif z < 0.26:
        spans = [(-reach, -45.0)]
    else:
        spans = [(-reach, -95 * heads.scale(z)), (78 * heads.scale(z), reach)]
    return [
        shift(np.stack([np.zeros(12), np.linspace(low, high, 12)], 1))
        for low, high in spans
        if high > low + 8
    ]


def spaces(head: Head, z: float, shift: Shift, rng: np.random.Generator) -> Layer:
    """Sulci, the midline and Sylvian fissures, and the cisterns of the base."""
    layer, s, wide = blank(), heads.scale(z), 1 + 1.6 * head.atrophy
    for line in fissure(head, z, shift):
        fill(layer, place(head, band(line, 1.2 * wide)))
    edge = contour(head, z, inner_inset(head, z) + 1)
    fine = contour(head, z, inner_inset(head, z) + 1, np.sort(rng.uniform(0, 2 * np.pi, int(30 * s) + 4)))
    for start in fine if z > 0.22 else fine[fine[:, 1] < 0]:
        depth = rng.uniform(14, 30) * s * (0.75 + 0.5 * head.atrophy)
        bend = rng.uniform(-9, 9, (2, 2))
        inward = -start / np.hypot(*start)
        line = start + np.outer([0.0, 0.4, 0.7, 1.0], inward * depth)
        line[2:] += bend
        fill(layer, place(head, band(open_curve(line, 4), rng.uniform(0.5, 1.0) * wide)))
    if 0.16 < z < 0.52:
        for side in (-1, 1):
            tip = np.abs(edge[:, 0]).max() + 2
            line = np.array(
                [(tip, -28 * s), (0.86 * tip, -22 * s), (0.68 * tip, -34 * s), (0.66 * tip, -6 * s)]
            )
            fill(layer, place(head, band(open_curve(line * (side, 1), 5), (1.6 + 1.6 * wide) * s)))
    return cv2.max(layer, _cisterns(head, z, s))


def _cisterns(head: Head, z: float, s: float) -> Layer:
    layer = blank()
    if z < 0.26:  # the suprasellar cistern
        t = np.arange(10) * (2 * np.pi / 10) - np.pi / 2
        radius = np.where(np.arange(10) % 2, 14, 29) * s
        star = np.stack([radius * np.cos(t), radius * np.sin(t) - 26 * s], 1)
        fill(layer, place(head, closed_curve(star)))
    if 0.14 < z < 0.4:  # the quadrigeminal cistern
        line = np.array([(-30, 40), (-14, 52), (0, 55), (14, 52), (30, 40)]) * s
        fill(layer, place(head, band(open_curve(line, 5), 3.5 * s)))
    return layer


def ventricles(head: Head, z: float, shift: Shift) -> Layer:
    """Lateral, third and fourth ventricles, wider with age."""
    layer, s, wide = blank(), heads.scale(z), 0.75 + 1.1 * head.atrophy
    for side in (-1, 1):
        for line, half in _lateral(z):
            apart = 0.7 * half * max(wide - 1, 0)  # so that wide ones do not merge in the middle
            points = mirror([(x + apart, y) for x, y in line], side, s)
            fill(layer, place(head, shift(band(open_curve(points, 6), _taper(points, half * wide * s)))))
    if 0.34 < z < 0.56:
        slit = np.array([(0, -38), (0, -20), (0, 2)]) * s
        fill(layer, place(head, shift(band(open_curve(slit, 5), 2.2 * wide * s))))
    if z < 0.2:
        fourth = np.array([(-11, 60), (0, 52), (11, 60), (6, 72), (0, 76), (-6, 72)]) * s
        fill(layer, place(head, closed_curve(fourth)))
    return layer


def _lateral(z: float) -> list[tuple[list[tuple[float, float]], float]]:
    """Centre line and half-width of the parts of the left lateral ventricle at height z."""
    if 0.24 < z < 0.36:  # temporal horns
        return [([(62, 6), (66, 20), (62, 34)], 2.0)]
    if 0.36 < z < 0.55:  # frontal horns and atria
        return [([(9, -58), (15, -74), (28, -92)], 6.5), ([(40, 40), (50, 60), (48, 88), (40, 104)], 7.5)]
    if 0.55 < z < 0.74:  # bodies
        return [([(24, -92), (15, -58), (14, -15), (22, 30), (38, 66)], 8.5)]
    return []


def _taper(points: Points, half: float) -> Points:
    """Half-width along an open curve of these points: round at its ends."""
    t = np.linspace(-1, 1, (len(points) - 1) * 6 + 1)
    return half * np.sqrt(np.maximum(1 - t**4, 0.05))
