"""Lung collapse: how a lung detaches from the chest wall (geometry only).

The lung's outline is described about a centre inside it. Over a window of the outline (the apex, the side wall, the base) the
lung's surface moves from the wall towards the centre, most in the middle of the window and not at all at its ends, so that the
space between wall and lung is a crescent along the wall. The displacement is found by bisection for a wanted area.

Lengths along the outline are in pixels of the WORK grid, from the apex, positive along the side wall.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.phantom.canvas import FULL, WORK, Layer, Points, fill

DEEPEST = 0.82
"""Largest share of the distance from the centre to the wall by which a lung retracts."""


@dataclass(frozen=True)
class Window:
    """The detached stretch of the outline, and where its displacement is largest."""

    start: float
    length: float
    peak: float
    """Place of the largest displacement, 0 (start) to 1 (end)."""
    power: float
    """Form of the displacement: 1 a sine, below 1 flatter, above 1 more pointed."""
    weight: float = 1.0
    """Displacement relative to the other windows of the same lung."""

    def profile(self, along: NDArray[np.float64], around: float) -> NDArray[np.float64]:
        """Displacement 0..weight at the lengths `along` of a closed outline that is `around` long."""
        t = np.clip(np.mod(along - self.start, around) / self.length, 0, 1)
        warped = t ** (np.log(0.5) / np.log(self.peak))
        return self.weight * np.sin(np.pi * warped) ** self.power


@dataclass(frozen=True)
class Retraction:
    """A healthy lung's outline (N, 2) in pixels of the WORK grid, and how it has retracted."""

    outline: Points
    centre: Points
    """(2,), inside the outline, which is star-shaped about it."""
    windows: tuple[Window, ...]
    depth: float = 0.0
    """Largest displacement, as a share of the mean distance from the centre to the wall."""

    def share(self) -> NDArray[np.float64]:
        """Displacement of each point of the outline relative to its distance from the centre, (N,)."""
        along, around = lengths(self.outline)
        lost = np.max([window.profile(along, around) for window in self.windows], axis=0) * self.depth
        distance = np.hypot(*(self.outline - self.centre).T)
        return DEEPEST * (1 - np.exp(-lost / DEEPEST * np.sqrt(distance.mean() / distance)))

    def surface(self, error: float = 0.0) -> Points:
        """The retracted lung's outline; `error` is a reader's, relative to the retraction."""
        return self.outline - (self.outline - self.centre) * (self.share() * (1 + error))[:, None]

    def lost(self, points: Points) -> NDArray[np.float64]:
        """Displacement of points (N, 2) as a share of their way from the centre, (N,): the outline's in their direction."""
        angle, share = _angle(self.outline - self.centre), self.share()
        order = np.argsort(angle)
        return np.interp(_angle(points - self.centre), angle[order], share[order], period=2 * np.pi)

    def move(self, points: Points) -> Points:
        """Map points of the healthy lung to the retracted one: along the ray from the centre, in proportion."""
        return points - (points - self.centre) * self.lost(points)[:, None]

    def space(self, field: Layer) -> Layer:
        """The visible lung `field` minus the retracted lung."""
        return fill(field.copy(), self.surface(), 0)


def lengths(outline: Points) -> tuple[NDArray[np.float64], float]:
    """Length along a closed outline from its first point to each point, (N,), and all around."""
    steps = np.hypot(*(np.roll(outline, -1, 0) - outline).T)
    return np.concatenate([[0.0], np.cumsum(steps[:-1])]), float(steps.sum())


def _angle(vectors: Points) -> NDArray[np.float64]:
    return np.arctan2(vectors[:, 1], vectors[:, 0])


def solve(lung: Retraction, field: Layer, area: float) -> Retraction:
    """Choose the depth by bisection so that the space has `area` pixels of the WORK grid, or the largest possible."""
    low, high = 0.0, 4.0
    for _ in range(10):
        middle = (low + high) / 2
        if cv2.sumElems(replace(lung, depth=middle).space(field))[0] < area * 255:
            low = middle
        else:
            high = middle
    return replace(lung, depth=high)


def sample_windows(
    rng: np.random.Generator, area: float, unit: float, supine: bool
) -> tuple[str, tuple[Window, ...]]:
    """Sample which stretch detaches, for a wanted area in pixels at full size: a name and the windows.

    `unit`: pixels of the WORK grid in one anatomical unit. In SIIM-ACR a mask of 3,750 pixels is 185 pixels long and one of
    15,000 is 328 pixels long, so the length grows with the area's power of 0.41. Most are apical (median height of the centroids
    .22); air of a lying patient may gather at the base.
    """
    length = 1.3 * 185 * (area / 3750) ** 0.41 * float(np.exp(rng.normal(0, 0.22))) * WORK / FULL
    draw = rng.random()
    apex = _apical(rng, min(length, 3.1 * unit))
    if draw < (0.3 if supine else 0.07) and area > 1500:
        return "basal", (_basal(rng, min(length, 1.2 * unit), unit),)
    if area > 40000:
        return "large", (_apical(rng, max(length, 2.6 * unit), flat=True),)
    if draw < 0.74 or area < 1200:
        return "apical", (apex,)
    if draw < 0.87:
        start = rng.uniform(0.2, 0.6) * unit
        return "lateral", (
            Window(start, min(length, 1.6 * unit), rng.uniform(0.3, 0.7), rng.uniform(0.5, 1.1)),
        )
    return "two-part", (
        _apical(rng, 0.7 * length),
        replace(_basal(rng, 0.6 * length, unit), weight=rng.uniform(0.5, 1.0)),
    )


def _apical(rng: np.random.Generator, length: float, flat: bool = False) -> Window:
    """Over the apex, longer along the side wall than along the mediastinum."""
    power = rng.uniform(0.35, 0.6) if flat else rng.uniform(0.4, 0.9)
    return Window(-length * rng.uniform(0.28, 0.55), length, rng.uniform(0.3, 0.65), power)


def _basal(rng: np.random.Generator, length: float, unit: float) -> Window:
    """Around the costophrenic angle: the deep sulcus of a lying patient."""
    return Window(
        rng.uniform(1.55, 1.9) * unit - length / 2, length, rng.uniform(0.35, 0.65), rng.uniform(0.5, 1.0)
    )
