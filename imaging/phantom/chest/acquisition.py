"""Turn attenuation into pixels: edge enhancement, tone curve, blur, quantum noise, collimation, 8 bits.

Intermediate greys are integers in 1/64 of a grey level.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.phantom.canvas import FULL, MM, WORK, Depth, Layer, blank, blur, fill, resize

GREY = 64
"""Steps in one grey level."""


@dataclass(frozen=True)
class Exposure:
    """How the detector's signal is displayed."""

    lung: float
    """Grey level of the darkest lung."""
    dense: float
    """Grey level of mediastinum and abdomen."""
    bend: float
    """Curvature of the tone curve: above 1 compresses the dense parts."""
    detail: float
    """Gain on structure finer than about 2 cm, as the manufacturers' processing does."""
    noise: float
    """Standard deviation of the quantum noise in grey levels."""
    blur: float
    """Standard deviation in pixels of the WORK grid: focus, motion, detector."""
    air: float
    """Grey level outside the patient: scatter and the display's lower end."""
    frame: float | None
    """Rotation in degrees of the exposed field in a black frame; None: no frame."""


def sample_exposure(rng: np.random.Generator, view: str) -> Exposure:
    """Sample an exposure; bedside (AP) ones have less contrast and sharpness and more noise."""
    bedside = view == "AP"
    lung = rng.uniform(32, 95) if bedside else rng.uniform(15, 65)
    span = rng.uniform(90, 160) if bedside else rng.uniform(120, 200)
    return Exposure(
        lung=float(lung),
        dense=float(np.clip(lung + span, 140, 232)),
        bend=float(rng.uniform(0.9, 2.1)),
        detail=float(rng.uniform(0.1, 0.9)),
        noise=float(rng.uniform(1.2, 3.2) if bedside else rng.uniform(0.8, 2.2)),
        blur=float(rng.uniform(0.35, 0.65) if bedside else rng.uniform(0.3, 0.45)),
        air=float(min(rng.exponential(10.0), 60.0)),
        frame=float(rng.normal(0, 2.5)) if bedside and rng.random() < 0.22 else None,
    )


def enhance(depth: Depth, gain: float) -> Depth:
    """Amplify structure finer than about 2 cm (unsharp masking, in integers)."""
    coarse = resize(blur(resize(depth, WORK // 8), 4.0), WORK).astype(np.int32)
    detail = (depth.astype(np.int32) - coarse) * round(256 * gain) >> 8
    return np.clip(detail + depth, 0, 65535).astype(np.uint16)


def anchors(depth: Depth, field: Layer) -> tuple[int, int]:
    """Attenuation of the darkest lung (8th percentile of the field) and of the dense parts (84th of the picture)."""
    small, inside = depth[::8, ::8], field[::8, ::8] > 127
    everything = np.sort(small.ravel())
    lung = np.sort(small[inside]) if inside.any() else everything
    return int(lung[len(lung) * 8 // 100]), int(everything[len(everything) * 84 // 100])


def tone(exposure: Exposure, lung: int, dense: int) -> Depth:
    """Table from attenuation (1/32 mm) to grey, uint16 (65536,); `lung` and `dense` are the anchors' attenuations."""
    axis = np.arange(0, 65536, 16, dtype=np.float64)
    t = (axis - lung) / max(dense - lung, 1)
    reach = 0.8  # where the compressed part of the curve ends
    bent = (1 - (1 - np.clip(t, 0, 1) * reach) ** exposure.bend) / (1 - (1 - reach) ** exposure.bend)
    grey = (
        exposure.lung
        + (exposure.dense - exposure.lung) * (bent + 0.9 * np.clip(t, -1, 0))
        + 60 * np.clip(t - 1, 0, 1)
    )
    air = np.clip(axis / (30.0 * MM), 0, 1)  # no absorption outside the body: black
    grey = np.maximum(np.clip(grey, 2 + 8 * air, 250) * air, exposure.air * (1 - 0.6 * air))
    return np.round(np.interp(np.arange(65536), axis, grey) * GREY).astype(np.uint16)


def display(depth: Depth, exposure: Exposure, field: Layer) -> Depth:
    """Attenuation on the WORK grid to grey on the FULL grid, uint16."""
    lung, dense = anchors(depth, field)
    grey = tone(exposure, lung, dense).take(depth)
    return resize(blur(grey, exposure.blur), FULL)


@lru_cache(maxsize=1)
def _grain() -> NDArray[np.int16]:
    """One large noise field for all images, standard deviation 48, neighbours correlated by 0.5 (the detector's blur)."""
    rng = np.random.Generator(np.random.PCG64(7))
    white = rng.integers(0, 256, (2, FULL + 257, FULL + 257), dtype=np.uint8).astype(np.int32).sum(0) - 255
    mixed = white[:-1, :-1] + white[1:, 1:] + white[1:, :-1] + white[:-1, 1:]
    return (mixed * 48 * 256 // 209 >> 8).astype(
        np.int16
    )  # 209: standard deviation of the sum of eight bytes


def quantum(grey: Depth, level: float, rng: np.random.Generator) -> Depth:
    """Add quantum noise: a random window of the noise field."""
    top, left = rng.integers(0, 256, 2)
    window = _grain()[top : top + FULL, left : left + FULL]
    if rng.random() < 0.5:
        window = window[::-1]
    strength = np.int16(min(round(level * GREY / 48 * 16), 140))  # keeps 16 bits: 140 * 216 < 32768
    return cv2.add(grey, (window * strength) >> 4, dtype=cv2.CV_16U)


def collimate(pixels: Layer, exposure: Exposure, rng: np.random.Generator) -> Layer:
    """Black outside the exposed field: thin blades at the edges, or a rotated field in a frame."""
    if exposure.frame is None and rng.random() < 0.72:
        return pixels
    widest = 14 if exposure.frame is None else 100
    left, top, right, bottom = rng.uniform(0, widest, 4)
    corners = np.array(
        [[left, top], [FULL - right, top], [FULL - right, FULL - bottom], [left, FULL - bottom]]
    )
    angle = np.deg2rad(exposure.frame or 0.0)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = (corners - FULL / 2) @ turn + FULL / 2
    return cv2.min(pixels, fill(blank(FULL), corners))


def to_bytes(grey: Depth) -> Layer:
    """Round to 8 bits."""
    return np.minimum((grey + np.uint16(GREY // 2)) >> 6, 255).astype(np.uint8)
