"""What lies on or in the patient besides himself: tubes, wires, electrodes, pacemaker, letters, and skin folds that look like a pleura."""

from __future__ import annotations

import cv2
import numpy as np

from imaging.phantom.anatomy import Chest
from imaging.phantom.canvas import FULL, Layer, Points, blank, ellipse, fill, fixed, open_curve, stroke


def _draw(layer: Layer, chest: Chest, points: list[tuple[float, float]], value: int, thickness: int) -> None:
    stroke(layer, open_curve(chest.to_pixels(np.array(points), FULL), 12), value, thickness)


def chest_tube(layer: Layer, chest: Chest, rng: np.random.Generator, side: int) -> None:
    """Drain from the side wall up to the apex, with its radio-opaque stripe and the gap of the last hole."""
    y = rng.uniform(1.0, 1.5)
    end = (side * rng.uniform(0.3, 0.65), rng.uniform(0.12, 0.5))
    path = [(side * 1.45, y + 0.3), (side * 1.0, y), (side * rng.uniform(0.65, 0.9), y - 0.35), end]
    line = open_curve(chest.to_pixels(np.array(path), FULL), 16)
    width = int(rng.integers(7, 13))
    cv2.polylines(layer, [fixed(line)], False, 70, width, cv2.LINE_AA, 4)
    hole = int(len(line) * 0.78)
    stroke(layer, line[:hole], 190, 2)
    stroke(layer, line[hole + 2 :], 190, 2)


def catheter(layer: Layer, chest: Chest, rng: np.random.Generator) -> None:
    """Central venous line from the neck or the clavicle to the superior vena cava."""
    side = -1 if rng.random() < 0.7 else 1
    tip = (-0.12, rng.uniform(0.7, 1.0) * chest.height)
    start = (
        [(side * 0.3, -0.5), (side * 0.2, -0.1)]
        if rng.random() < 0.5
        else [(side * 0.95, 0.3), (side * 0.5, 0.14)]
    )
    _draw(layer, chest, [*start, (-0.1, 0.4), tip], 110, 3)


def airway_tube(layer: Layer, chest: Chest, rng: np.random.Generator) -> None:
    """Endotracheal tube, and often a stomach tube beside it."""
    _draw(layer, chest, [(0.02, -0.9), (0.0, -0.3), (-0.01, rng.uniform(0.25, 0.45))], 120, 4)
    if rng.random() < 0.7:
        _draw(layer, chest, [(0.05, -0.9), (0.05, 0.3), (0.06, 1.2), (0.2, 1.75), (0.45, 2.0)], 100, 3)


def electrodes(layer: Layer, chest: Chest, rng: np.random.Generator) -> None:
    """ECG patches with snaps, and their wires that hang across the chest."""
    hub = (rng.uniform(-0.4, 0.8), 2.6)
    for x, y in ((-0.75, 0.35), (0.75, 0.3), (0.65, 1.5), (-0.8, 1.5))[: rng.integers(2, 5)]:
        spot = (x + rng.normal(0, 0.08), y + rng.normal(0, 0.1))
        at = chest.to_pixels(np.array([spot]), FULL)[0]
        fill(layer, ellipse((at[0], at[1]), (15, 15)), 45)
        fill(layer, ellipse((at[0], at[1]), (6, 6)), 235)
        bend = (spot[0] + rng.normal(0.1, 0.15), spot[1] + rng.uniform(0.3, 0.5))
        low = (hub[0] + rng.normal(0, 0.2), 2.0)
        _draw(layer, chest, [spot, bend, low, hub], 95, 2)


def pacemaker(layer: Layer, chest: Chest, rng: np.random.Generator) -> None:
    """Generator below the left clavicle with one or two leads to the heart."""
    x, y = 0.72 + rng.normal(0, 0.05), 0.42 + rng.normal(0, 0.05)
    fill(layer, chest.to_pixels(ellipse((x, y), (0.15, 0.13), 0.3), FULL), 200)
    fill(layer, chest.to_pixels(ellipse((x - 0.02, y + 0.02), (0.1, 0.08), 0.3), FULL), 255)
    fill(layer, chest.to_pixels(ellipse((x + 0.02, y - 0.1), (0.08, 0.04), 0.3), FULL), 150)
    for end in ((0.3, 1.55), (-0.12, 1.25))[: rng.integers(1, 3)]:
        _draw(
            layer,
            chest,
            [(x, y - 0.1), (0.35, 0.12), (-0.08, 0.45), (-0.14, 1.0), (end[0], end[1] * chest.height)],
            220,
            3,
        )


def letters(layer: Layer, rng: np.random.Generator, view: str) -> None:
    """Side marker in an upper corner, and on bedside films the words of the technician."""
    font = cv2.FONT_HERSHEY_SIMPLEX if rng.random() < 0.5 else cv2.FONT_HERSHEY_DUPLEX
    right = rng.random() < 0.75
    x = int(rng.integers(900, 975) if right else rng.integers(25, 90))
    y = int(rng.integers(40, 200))
    cv2.putText(
        layer,
        "L" if right else "R",
        (x, y),
        font,
        rng.uniform(1.0, 2.0),
        255,
        int(rng.integers(2, 6)),
        cv2.LINE_AA,
    )
    if view == "AP" and rng.random() < 0.7:
        words = ["AP", "PORTABLE"] + (["SUPINE"] if rng.random() < 0.3 else [])
        left = int(rng.integers(20, 200)) if not right else int(rng.integers(820, 850))
        for row, word in enumerate(words):
            cv2.putText(
                layer, word, (left, y + 60 + row * int(rng.integers(30, 60))), font, 0.75, 255, 2, cv2.LINE_AA
            )


def skin_fold(chest: Chest, rng: np.random.Generator) -> tuple[Layer, Points]:
    """A fold of skin: a band that brightens slowly towards one sharp edge; vessels run on beyond it and nothing is lucent.

    Returns the wedge (FULL, 0..255) and its edge in pixels.
    """
    side = 1 if rng.random() < 0.5 else -1
    x0, lean = rng.uniform(0.45, 0.85), rng.normal(0, 0.18)
    y = np.linspace(rng.uniform(0.1, 0.5), rng.uniform(1.1, 2.0), 7)
    edge = np.stack([side * (x0 + lean * (y - 0.8) + 0.05 * np.sin(3 * y + rng.uniform(0, 6))), y], 1)
    wedge = blank(FULL)
    line = open_curve(chest.to_pixels(edge, FULL), 10)
    inward = -side * chest.radius(1.0, FULL)
    steps = 14
    for step in range(steps, 0, -1):
        polygon = np.vstack([line, (line + (inward * 0.16 * step / steps, 0))[::-1]])
        fill(wedge, polygon, 255 * (steps - step + 1) // steps)
    return wedge, line
