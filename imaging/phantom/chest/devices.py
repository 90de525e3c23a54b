"""Devices and artefacts: tubes, wires, electrodes, pacemaker, letters, and skin folds, which imitate a pleural line."""

from __future__ import annotations

import cv2
import numpy as np

from imaging.phantom.canvas import FULL, Layer, blank, blur, ellipse, fill, fixed, open_curve, stroke
from imaging.phantom.chest.anatomy import Chest
from imaging.phantom.cohort import Case


def _draw(layer: Layer, chest: Chest, points: list[tuple[float, float]], value: int, thickness: int) -> None:
    stroke(layer, open_curve(chest.to_pixels(np.array(points), FULL), 12), value, thickness)


def chest_tube(layer: Layer, chest: Chest, rng: np.random.Generator, side: int) -> None:
    """Chest tube from the lateral wall to the apex, with its radio-opaque stripe and the gap at the last hole."""
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
    """Endotracheal tube, often with a gastric tube."""
    _draw(layer, chest, [(0.02, -0.9), (0.0, -0.3), (-0.01, rng.uniform(0.25, 0.45))], 120, 4)
    if rng.random() < 0.7:
        _draw(layer, chest, [(0.05, -0.9), (0.05, 0.3), (0.06, 1.2), (0.2, 1.75), (0.45, 2.0)], 100, 3)


def electrodes(layer: Layer, chest: Chest, rng: np.random.Generator) -> None:
    """ECG patches with snaps, and their leads across the chest."""
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


def tubing(layer: Layer, chest: Chest, rng: np.random.Generator) -> None:
    """Lines that lie on the patient: oxygen tubing, leads, drains of a wound; from one border of the picture to another."""
    for _ in range(rng.integers(1, 5)):
        ends = rng.uniform([[-1.5, -0.6], [-0.6, 1.6]], [[1.5, 0.8], [1.6, 2.6]])
        middle = ends.mean(0) + rng.normal(0, 0.35, (2, 2))
        points = [(float(x), float(y)) for x, y in (ends[0], middle[0], middle[1], ends[1])]
        _draw(layer, chest, points, int(rng.integers(40, 130)), int(rng.integers(1, 5)))


def clips(layer: Layer, chest: Chest, rng: np.random.Generator) -> None:
    """Surgical clips: short bright dashes near the hilum, or a row of staples."""
    x, y = rng.uniform(-0.6, 0.6), rng.uniform(0.3, 1.5)
    step = rng.normal(0, 0.05, 2)
    for number in range(rng.integers(2, 9)):
        at = np.array([x, y]) + number * step + rng.normal(0, 0.02, 2)
        along = rng.normal(0, 0.025, 2)
        stroke(layer, chest.to_pixels(np.stack([at - along, at + along]), FULL), 230, int(rng.integers(2, 5)))


def sternal_wires(layer: Layer, chest: Chest, rng: np.random.Generator) -> None:
    """Wire loops that close the sternum after heart surgery."""
    for number in range(rng.integers(4, 7)):
        centre = (chest.pose.turned + rng.normal(0, 0.012), 0.45 + 0.2 * number)
        loop = ellipse(centre, (rng.uniform(0.03, 0.05), rng.uniform(0.015, 0.03)), rng.normal(0, 0.4))
        stroke(layer, chest.to_pixels(np.concatenate([loop, loop[:1]]), FULL), 240, 3)


def redact(pixels: Layer, rng: np.random.Generator) -> Layer:
    """Black boxes over burned-in names, in the upper part of the picture."""
    for _ in range(rng.integers(1, 4)):
        width, height = rng.integers(50, 210), rng.integers(30, 110)
        left = rng.integers(0, 180) if rng.random() < 0.4 else rng.integers(780, 1000)
        top = rng.integers(0, 220)
        pixels[top : top + height, left : left + width] = 0
    return pixels


def letters(layer: Layer, rng: np.random.Generator, view: str) -> Layer:
    """Side marker in an upper corner, and on bedside radiographs the technician's annotations."""
    font = cv2.FONT_HERSHEY_SIMPLEX if rng.random() < 0.5 else cv2.FONT_HERSHEY_DUPLEX
    grey, right = int(rng.integers(140, 256)), rng.random() < 0.75
    x = int(rng.integers(880, 975) if right else rng.integers(25, 110))
    y, scale, thickness = int(rng.integers(40, 240)), rng.uniform(0.8, 2.0), int(rng.integers(2, 6))
    cv2.putText(layer, "L" if right else "R", (x, y), font, scale, grey, thickness, cv2.LINE_AA)
    if rng.random() < 0.4:
        initials = "".join(chr(65 + int(n)) for n in rng.integers(0, 26, rng.integers(2, 4)))
        cv2.putText(layer, initials, (x - 12, y + 34), font, 0.8, grey, 2, cv2.LINE_AA)
    if rng.random() < 0.3:  # a marker that lies askew
        turned = layer[: y + 60, max(x - 70, 0) :][:, :170].copy()
        layer[: y + 60, max(x - 70, 0) :][:, :170] = 0
        turned = cv2.flip(turned, int(rng.integers(0, 2)))
        layer[: y + 60, max(x - 70, 0) :][:, :170] = turned
    if view == "AP" and rng.random() < 0.7:
        words = ["AP", "PORTABLE"] + (["SUPINE"] if rng.random() < 0.3 else [])
        left = int(rng.integers(20, 200)) if not right else int(rng.integers(780, 850))
        for row, word in enumerate(words):
            at = (left, y + 60 + row * int(rng.integers(30, 60)))
            cv2.putText(layer, word, at, font, 0.75, grey, 2, cv2.LINE_AA)
    if rng.random() < (0.2 if view == "AP" else 0.05):
        low = (int(rng.integers(880, 1000)), int(rng.integers(200, 500)))
        cv2.arrowedLine(layer, low, (low[0], low[1] - 60), grey, 6, cv2.LINE_AA, tipLength=0.4)
    return layer


def skin_fold(chest: Chest, rng: np.random.Generator) -> Layer:
    """A skin fold (FULL, 0..255): brightens towards one sharp edge; vessels continue beyond it, nothing is lucent."""
    side = 1 if rng.random() < 0.5 else -1
    x0, lean, phase = rng.uniform(0.5, 0.88), rng.normal(0, 0.18), rng.uniform(0, 6)
    y = np.linspace(rng.uniform(0.1, 0.5), rng.uniform(1.0, 1.6), 7)
    edge = np.stack([side * (x0 + lean * (y - 0.8) + 0.04 * np.sin(3 * y + phase)), y], 1)
    line = open_curve(chest.to_pixels(edge, FULL), 10)
    fade = np.sin(np.linspace(0, np.pi, len(line))) ** 0.7
    width = np.outer(fade, [-side * chest.radius(0.16, FULL), 0.0])
    wedge, steps = blank(FULL), 14
    for step in range(steps, 0, -1):
        polygon = np.concatenate([line, (line + width * step / steps)[::-1]])
        fill(wedge, polygon, 255 * (steps - step + 1) // steps)
    return blur(wedge, 1.0)


def hardware(
    chest: Chest, case: Case, side: int, rng: np.random.Generator, wanted: bool | None = None
) -> Layer:
    """All devices of one image (FULL, 0..255); `side` is the pneumothorax's, 0 without one.

    wanted: whether there is a chest tube, instead of by chance; all else in the image is then the same with and without it.

    A tube is commoner with a pneumothorax, but such patients also carry it on images without one: a model that finds tubes
    instead of air is wrong there.
    """
    layer = blank(FULL)
    bedside = chest.pose.view == "AP"
    tube, wires, line, airway = rng.random(4)
    drawn = rng if wanted is None else np.random.Generator(np.random.PCG64([505, case.index]))
    if wanted or (wanted is None and tube < (0.34 if side else (0.2 if case.sick else 0.03))):
        chest_tube(layer, chest, drawn, side or (-1 if drawn.random() < 0.5 else 1))
    if wires < (0.45 if bedside else 0.06):
        electrodes(layer, chest, rng)
    if line < (0.4 if bedside else 0.08):
        catheter(layer, chest, rng)
    if bedside and airway < 0.3:
        airway_tube(layer, chest, rng)
    if chest.build.implant:
        pacemaker(layer, chest, rng)
    others = rng.random(3)
    if others[0] < (0.45 if bedside else 0.06):
        tubing(layer, chest, rng)
    if others[1] < 0.12:
        clips(layer, chest, rng)
    if others[2] < (0.1 if chest.build.age > 45 else 0.01):
        sternal_wires(layer, chest, rng)
    return layer
