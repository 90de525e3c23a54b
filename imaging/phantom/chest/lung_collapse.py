"""Lung collapse: how a lung detaches from the chest wall (geometry only).

A chord is laid through the lung's outline, and the cap beyond it (the apex, the side, the base) is flattened towards the chord:
an affine map, so the lung's surface stays as smooth and as convex as a real one. The chord is shifted until the space between
wall and lung has the wanted area.

Points of an outline are counted from the apex: 0 the apex, 80 the lowest point of the side wall, negative ones medial
(anatomy.Chest.envelope).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.phantom.canvas import Layer, Points, fill


@dataclass(frozen=True)
class Cap:
    """A segment of the lung's outline, and how far it is flattened towards its chord."""

    first: float
    last: float
    flat: float
    """0: in place; 1: the lung's surface lies on the chord; above 1 it is pushed beyond."""

    def window(self) -> NDArray[np.int64]:
        """Indices of the outline's points in the cap."""
        return np.arange(round(self.first), round(self.last) + 1)

    def move(self, outline: Points, points: Points) -> Points:
        """Move the points (N, 2) beyond the chord of this outline; the others stay."""
        start, end = outline[round(self.first)], outline[round(self.last)]
        chord = (end - start) / max(float(np.hypot(*(end - start))), 1e-9)
        normal = np.array([chord[1], -chord[0]])
        if (outline[self.window()].mean(0) - start) @ normal < 0:
            normal = -normal
        beyond = np.maximum((points - start) @ normal, 0.0)
        return points - self.flat * beyond[:, None] * normal

    def widened(self, share: float) -> Cap:
        """The cap with both ends at `share` of the way from its middle (the apex, if it is inside) to where they are."""
        middle = 0.0 if self.first < 0 else (self.first + self.last) / 2
        first, last = (middle + (end - middle) * share for end in (self.first, self.last))
        return replace(self, first=first - 1, last=last + 1)


@dataclass(frozen=True)
class Retraction:
    """A healthy lung's outline (N, 2) in pixels of the WORK grid and the caps that have retracted."""

    outline: Points
    caps: tuple[Cap, ...]

    def surface(self, error: float = 0.0) -> Points:
        """The retracted lung's outline; `error` is a reader's, relative to the retraction."""
        moved = self.outline.copy()
        for cap in self.caps:
            window = cap.window()
            moved[window] = replace(cap, flat=cap.flat * (1 + error)).move(self.outline, self.outline[window])
        return moved

    def move(self, points: Points) -> Points:
        """Map points of the healthy lung to the retracted one."""
        for cap in self.caps:
            points = cap.move(self.outline, points)
        return points

    def space(self, field: Layer) -> Layer:
        """The visible lung `field` minus the retracted lung."""
        return fill(field.copy(), self.surface(), 0)


def solve(shape: Retraction, field: Layer, area: float) -> Retraction:
    """Widen the caps by bisection until the space has `area` pixels of the WORK grid, or the largest possible."""
    low, high = 0.02, 1.0
    for _ in range(9):
        middle = (low + high) / 2
        tried = Retraction(shape.outline, tuple(cap.widened(middle) for cap in shape.caps))
        if cv2.sumElems(tried.space(field))[0] < area * 255:
            low = middle
        else:
            high = middle
    return Retraction(shape.outline, tuple(cap.widened(high) for cap in shape.caps))


def sample_caps(rng: np.random.Generator, area: float, supine: bool) -> tuple[str, tuple[Cap, ...]]:
    """Sample which border retracts, for a wanted area in pixels at full size: a name and the widest caps.

    Most are apical, as in SIIM-ACR (median height of the centroids .22); air of a lying patient may gather at the base.
    """
    draw, flat = rng.random(), rng.uniform(0.4, 0.95)
    apex = Cap(-rng.uniform(14, 40), rng.uniform(62, 82), flat)
    base = Cap(rng.uniform(46, 56), rng.uniform(92, 100), flat)
    if supine and draw < 0.25 and area > 1500:
        return "basal", (base,)
    if area > 33000:
        return "large", (Cap(-rng.uniform(36, 50), rng.uniform(82, 92), rng.uniform(0.5, 1.1)),)
    if draw < 0.60 or area < 2000:
        return "apical", (apex,)
    if draw < 0.80 or area < 5000:
        return "lateral", (Cap(rng.uniform(1, 10), rng.uniform(66, 82), rng.uniform(0.8, 1.6)),)
    return "two-part", (apex, base)
