"""One patient's head: size, age and tilt, and the place of its points in a slice.

Coordinates are pixels of 0.45 mm from the middle of the head: x to the reader's right (the patient's left), y to the back.
Height z runs from 0, the level of the petrous bones, to 1, the vertex.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imaging.phantom.canvas import WORK, Layer, Points, closed_curve, shape

HALF_WIDTH, HALF_LENGTH = 158.0, 198.0
"""Outer skull in pixels: 142 mm by 178 mm, the adult median."""
WIDEST = 0.35
"""Height at which a head is widest."""
_STEPS = 32


@dataclass(frozen=True)
class Head:
    """What is the same in all slices of a patient."""

    width: float
    length: float
    skull: float
    """Thickness of the skull in pixels."""
    atrophy: float
    """0: a young brain that fills the skull; 1: wide sulci and ventricles."""
    tilt: float
    """Rotation in the image plane, radians."""
    centre: tuple[float, float]
    bumps: tuple[float, ...]
    """Deviations of the outline, as shares of the radius."""
    seed: int


def sample(rng: np.random.Generator, seed: int) -> Head:
    """Sample a head."""
    size = rng.uniform(0.93, 1.06)
    return Head(
        width=HALF_WIDTH * size * rng.uniform(0.96, 1.04),
        length=HALF_LENGTH * size * rng.uniform(0.97, 1.03),
        skull=rng.uniform(11, 17),
        atrophy=rng.beta(1.3, 1.6),
        tilt=rng.uniform(-0.12, 0.12),
        centre=(WORK / 2 + rng.uniform(-12, 12), WORK / 2 - 6 + rng.uniform(-10, 10)),
        bumps=tuple(rng.uniform(-0.014, 0.014, 5) / np.arange(1, 6)),
        seed=seed,
    )


@dataclass(frozen=True)
class Shift:
    """How a mass displaces the brain: by `push` pixels along x, most at height `y` and towards the midline."""

    push: float = 0.0
    y: float = 0.0

    def __call__(self, points: Points) -> Points:
        """Displaced head coordinates (N, 2)."""
        fall = np.exp(-((points[:, 0] / 95) ** 2) - ((points[:, 1] - self.y) / 110) ** 2)
        return points + np.stack([self.push * fall, np.zeros(len(points))], 1)


def scale(z: float) -> float:
    """Size of a head at height z as a share of its largest: an ellipsoid, flattened towards the base."""
    reach = 0.73 if z > WIDEST else 1.05
    return float(np.sqrt(max(1 - ((z - WIDEST) / reach) ** 2, 0.02)))


def inner_inset(head: Head, z: float) -> float:
    """Inset of the inner table: near the vertex a slice cuts the skull obliquely."""
    return head.skull * (1 + 1.2 * max(z - 0.75, 0) / 0.25)


def contour(head: Head, z: float, inset: float, angles: Points | None = None) -> Points:
    """The skull's outline moved inwards by `inset` pixels, (N, 2) head coordinates: wider posteriorly than anteriorly."""
    t = np.arange(_STEPS) * (2 * np.pi / _STEPS) if angles is None else angles
    bump = 1 + sum(
        share * np.cos((k + 2) * t + k * 1.7) for k, share in enumerate(head.bumps)
    )  # the same for all slices
    s = scale(z)
    # Powers below 1 make the ellipse fuller at its corners, as skulls are.
    cos, sin = (np.sign(wave) * np.abs(wave) ** 0.9 for wave in (np.cos(t), np.sin(t)))
    x = np.maximum(head.width * s * bump - inset, 2) * cos * (1 + 0.055 * sin)
    y = np.maximum(head.length * s * bump - inset, 2) * sin
    return np.stack([x, y], 1)


def place(head: Head, points: Points) -> Points:
    """Image coordinates of head coordinates (N, 2)."""
    c, s = np.cos(head.tilt), np.sin(head.tilt)
    x, y = points[:, 0], points[:, 1]
    return np.stack([head.centre[0] + c * x - s * y, head.centre[1] + s * x + c * y], 1)


def body(head: Head, points: Points, smooth: bool = True) -> Layer:
    """The filled shape of head coordinates, 255 inside."""
    return shape(place(head, closed_curve(points) if smooth else points))


def within(head: Head, z: float, inset: float) -> Layer:
    """Everything inside the skull's outline moved inwards by `inset` pixels."""
    return body(head, contour(head, z, inset))


def mirror(points: Sequence[tuple[float, float]], side: int, by: float) -> Points:
    """Points of the left side, or of the right one for side -1, scaled by `by`."""
    return np.array(points, np.float64) * (side * by, by)
