"""Drawing in integer arithmetic: every primitive gives the same bits on every machine.

Geometry is floating point and is rounded to 1/16 pixel. Everything after that is integer: filled polygons, fixed-point Gaussian
blur and exact bilinear resizing of uint8 and uint16 (the three that OpenCV documents as bit-exact), and look-up tables. Images
therefore do not depend on the CPU's vector width. Attenuation is held in 1/32 mm of water, uint16.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

FULL = 1024
"""Side in pixels of a radiograph in SIIM-ACR."""
WORK = 512
"""Side in pixels at which the anatomy is drawn: half the resolution is enough for smooth shapes."""
MM = 32
"""Units of attenuation in one millimetre of water."""

Layer = NDArray[Any]
"""uint8, 0 outside to 255 inside; Any, since OpenCV's type hints are no narrower."""
Depth = NDArray[Any]
"""uint16, attenuation in 1/32 mm of water."""
Points = NDArray[Any]
"""float64 (N, 2): x, y."""

_SHIFT = 4


def closed_curve(points: Points, steps: int = 8) -> Points:
    """Smooth closed curve (N * steps, 2) through (N, 2) points: a Catmull-Rom spline with `steps` points a segment."""
    around = np.concatenate([points[-1:], points, points[:2]])
    return _spline(around[:-3], points, around[2:-1], around[3:], steps)


def open_curve(points: Points, steps: int = 8) -> Points:
    """Smooth curve from the first to the last of (N, 2) points, ((N - 1) * steps + 1, 2)."""
    first, last = 2 * points[0] - points[1], 2 * points[-1] - points[-2]
    padded = np.concatenate([[first], points, [last]])
    return np.concatenate([_spline(padded[:-3], padded[1:-2], padded[2:-1], padded[3:], steps), points[-1:]])


def _spline(before: Points, start: Points, end: Points, after: Points, steps: int) -> Points:
    t = (np.arange(steps) / steps)[None, :, None]
    a, b, c, d = (p[:, None, :] for p in (before, start, end, after))
    curve = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return curve.reshape(-1, 2)


def band(line: Points, width: float | Points) -> Points:
    """Closed polygon (2N, 2) around a line (N, 2) with the given half-width, one number or one a point."""
    along = np.empty_like(line)
    along[1:-1] = line[2:] - line[:-2]
    along[0], along[-1] = line[1] - line[0], line[-1] - line[-2]
    along *= (width / np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9))[:, None]
    across = along[:, ::-1] * (-1, 1)
    return np.concatenate([line + across, (line - across)[::-1]])


def ellipse(
    centre: tuple[float, float], radii: tuple[float, float], angle: float = 0.0, n: int = 32
) -> Points:
    """Closed polygon (n, 2) of an ellipse rotated by `angle` radians."""
    t = np.arange(n) * (2 * np.pi / n)
    x, y = radii[0] * np.cos(t), radii[1] * np.sin(t)
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([centre[0] + c * x - s * y, centre[1] + s * x + c * y], 1)


def fixed(points: Points) -> NDArray[np.int32]:
    """Pixel coordinates as OpenCV's 1/16-pixel integers, (N, 1, 2)."""
    return np.round(points * (1 << _SHIFT)).astype(np.int32)[:, None]


def blank(size: int = WORK) -> Layer:
    """An empty (size, size) uint8 layer."""
    return np.zeros((size, size), np.uint8)


def fill(layer: Layer, polygon: Points, value: int = 255) -> Layer:
    """Paint a filled, anti-aliased polygon over `layer`; returns the layer."""
    cv2.fillPoly(layer, [fixed(polygon)], value, cv2.LINE_AA, _SHIFT)
    return layer


def stroke(layer: Layer, line: Points, value: int, thickness: int = 1) -> Layer:
    """Paint an open line of whole-pixel thickness over `layer`; returns the layer."""
    cv2.polylines(layer, [fixed(line)], False, value, thickness, cv2.LINE_AA, _SHIFT)
    return layer


def shape(polygon: Points, size: int = WORK) -> Layer:
    """The polygon alone, 255 inside."""
    return fill(blank(size), polygon)


def scaled(layer: Layer, mm: float) -> Depth:
    """Turn a layer (0..255) into attenuation with `mm` of water at 255."""
    return cv2.LUT(layer, _line_table(round(mm * MM)))


@lru_cache(maxsize=1024)
def _line_table(top: int) -> Depth:
    return ((np.arange(256) * top + 127) // 255).astype(np.uint16)


def bulge(mask: Layer, radius: float, mm: float, flatness: float = 2.0) -> Depth:
    """Projected depth of a rounded body with this outline: 0 at the border, `mm` from `radius` pixels inwards.

    The profile is that of a superellipse, (1 - (1 - t)^f)^(1/f): its edge is as steep as a sphere's in projection.
    """
    distance = _distance((mask > 127).view(np.uint8))
    steps = np.minimum(distance * np.float32(16), np.float32(4095)).astype(np.uint16)
    return _bulge_table(round(radius * 16), round(mm * MM), flatness)[steps]


def _distance(inside: Layer) -> NDArray[np.float32]:
    """Distance to the border in pixels (3 x 3 chamfer); without Intel's IPP, which rounds differently from OpenCV's own code."""
    used = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    try:
        return np.asarray(cv2.distanceTransform(inside, cv2.DIST_L2, 3), np.float32)
    finally:
        cv2.ipp.setUseIPP(used)


@lru_cache(maxsize=1024)
def _bulge_table(radius: int, top: int, flatness: float) -> Depth:
    inside = np.minimum(np.arange(4096) / max(radius, 1), 1.0)
    profile = (1 - (1 - inside) ** flatness) ** (1 / flatness)
    return np.round(profile * top).astype(np.uint16)


def blur(values: NDArray, sigma: float) -> NDArray:
    """Gaussian blur of uint8 or uint16 in fixed-point arithmetic, truncated at two standard deviations for speed."""
    side = max(2 * int(2 * sigma) + 1, 3)
    return cv2.GaussianBlur(values, (side, side), sigma, borderType=cv2.BORDER_REPLICATE)


def resize(values: NDArray, size: int) -> NDArray:
    """Exact bilinear resizing of uint8 or uint16 to (size, size)."""
    return cv2.resize(values, (size, size), interpolation=cv2.INTER_LINEAR_EXACT)


def times(depth: Depth, weight: Layer) -> Depth:
    """`depth` scaled by `weight` / 255."""
    return ((depth.astype(np.uint32) * weight) >> 8).astype(np.uint16)


def add(first: Depth, second: Depth) -> Depth:
    """Sum of two depths, at most 65535."""
    return cv2.add(first, second)


def invert(layer: Layer) -> Layer:
    """255 - layer."""
    return cv2.bitwise_not(layer)


def tint(field: NDArray[np.int16]) -> Depth:
    """A noise field as uint16 centred at 1024, so that it can be resized."""
    return (field + np.int16(1024)).astype(np.uint16)


def noise(rng: np.random.Generator, size: int, cell: int) -> NDArray[np.int16]:
    """Smooth random field (size, size) with a grain of about `cell` pixels, mean 0, standard deviation about 300."""
    cells = size // cell + 3
    coarse = rng.integers(0, 2048, (cells, cells), dtype=np.uint16)
    field = resize(blur(coarse, 0.6), cells * cell)[cell : cell + size, cell : cell + size]
    return field.astype(np.int16) - np.int16(1024)
