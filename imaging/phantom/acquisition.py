"""From attenuation to a picture: scatter, tone curve, edge enhancement, blades of the collimator, quantum noise, 8 bits."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from imaging.phantom.canvas import FULL, MM, WORK, Depth, Layer, blank, blur, fill, resize


@dataclass(frozen=True)
class Exposure:
    """How the detector's signal is shown."""

    lung: float
    """Grey level of the darkest lung."""
    dense: float
    """Grey level of mediastinum and belly."""
    bend: float
    """Curvature of the tone curve: above 1 the dense parts are flattened."""
    detail: float
    """Gain on structure finer than about 2 cm, as the manufacturers' processing does."""
    noise: float
    """Standard deviation of the quantum noise in grey levels, at the densest."""
    sharpness: float
    """Blur in pixels at full size: focus, motion, detector."""
    frame: float
    """Degrees by which the exposed field is turned in a black frame; 0 without a frame."""


def sample_exposure(rng: np.random.Generator, view: str) -> Exposure:
    """Draw an exposure; bedside (AP) ones are flatter, noisier and less sharp."""
    bedside = view == "AP"
    lung = rng.uniform(28, 110) if not bedside else rng.uniform(50, 135)
    return Exposure(
        lung=float(lung),
        dense=float(np.clip(lung + rng.uniform(85, 160), 150, 232)),
        bend=float(rng.uniform(0.9, 1.9)),
        detail=float(rng.uniform(0.3, 1.1)),
        noise=float(rng.uniform(1.2, 3.0) if not bedside else rng.uniform(1.5, 4.5)),
        sharpness=float(rng.uniform(0.5, 0.9) if not bedside else rng.uniform(0.7, 1.2)),
        frame=float(rng.normal(0, 2.5)) if bedside and rng.random() < 0.25 else 0.0,
    )


def enhance(depth: Depth, gain: float) -> Depth:
    """Raise structure finer than about 2 cm against its surroundings (unsharp masking, in whole numbers)."""
    coarse = resize(blur(resize(depth, WORK // 8), 4.0), WORK).astype(np.int32)
    detail = depth.astype(np.int32) - coarse
    return np.clip(depth + (detail * round(256 * gain) >> 8), 0, 65535).astype(np.uint16)


def tone(depth: Depth, exposure: Exposure, lung: int, dense: int) -> np.ndarray:
    """Look-up from attenuation (1/32 mm) to grey level in 1/64, uint16; `lung` and `dense` are the anchors' attenuations."""
    axis = np.arange(65536, dtype=np.float64)
    t = (axis - lung) / max(dense - lung, 1)
    shoulder = 1 - np.power(np.clip(1 - np.clip(t, 0, 1) * 0.86, 0, 1), exposure.bend)
    shoulder /= 1 - (1 - 0.86) ** exposure.bend
    above = np.clip(t - 1, 0, 1) * 26
    below = np.clip(t, -1, 0) * 0.9
    grey = exposure.lung + (exposure.dense - exposure.lung) * (shoulder + below) + above
    air = np.clip(axis / (26.0 * MM), 0, 1)  # outside the body nothing absorbs: black
    grey = np.clip(grey, 2 + 8 * air, 250) * air**0.7
    return np.round(np.clip(grey, 0, 255) * 64).astype(np.uint16)[depth]


def anchors(depth: Depth, field: Layer) -> tuple[int, int]:
    """Attenuation of the darkest lung (8th percentile of the field) and of the dense parts (90th of the picture)."""
    small, inside = depth[::8, ::8], field[::8, ::8] > 127
    values = np.sort(small[inside]) if inside.any() else np.sort(small.ravel())
    everything = np.sort(small.ravel())
    return int(values[len(values) * 8 // 100]), int(everything[len(everything) * 90 // 100])


def quantum(rng: np.random.Generator, level: float) -> np.ndarray:
    """Noise in 1/64 grey level (int32, FULL x FULL): the sum of four bytes, close to a normal distribution, slightly correlated."""
    raw = rng.integers(0, 256, (2, FULL + 1, FULL + 1), dtype=np.uint8)
    white = raw[0].astype(np.int16) + raw[1]
    mixed = white[:-1, :-1] + white[1:, 1:]
    return (mixed.astype(np.int32) - 510) * round(
        level * 64 / 148 * 256
    ) >> 8  # 148: standard deviation of four bytes' sum


def collimate(grey: np.ndarray, exposure: Exposure, rng: np.random.Generator) -> np.ndarray:
    """Black outside the exposed field: thin blades at the edges, or a turned film in a frame."""
    if exposure.frame:
        inset = rng.uniform(0.02, 0.1, 4) * FULL
        corners = np.array(
            [
                [inset[0], inset[1]],
                [FULL - inset[2], inset[1]],
                [FULL - inset[2], FULL - inset[3]],
                [inset[0], FULL - inset[3]],
            ]
        )
        angle = np.deg2rad(exposure.frame)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        corners = (corners - FULL / 2) @ turn.T + FULL / 2
    elif rng.random() < 0.5:
        inset = rng.integers(0, 14, 4)
        corners = np.array(
            [
                [inset[0], inset[1]],
                [FULL - inset[2], inset[1]],
                [FULL - inset[2], FULL - inset[3]],
                [inset[0], FULL - inset[3]],
            ],
            float,
        )
    else:
        return grey
    return grey * (fill(blank(FULL), corners) > 127)


def finish(depth: Depth, exposure: Exposure, field: Layer, rng: np.random.Generator) -> np.ndarray:
    """Attenuation on the FULL grid to grey levels in 1/64 (int32), without marks."""
    lung, dense = anchors(depth, resize(field, FULL))
    grey = blur(tone(depth, exposure, lung, dense), exposure.sharpness).astype(np.int32)
    mottle = quantum(rng, exposure.noise)
    grey += mottle * (64 * 40 + grey) // (64 * 255)
    return collimate(grey, exposure, rng)


def to_bytes(grey: np.ndarray, marks: Layer) -> np.ndarray:
    """Round to 8 bits and burn the white letters in."""
    pixels = np.clip((grey + 32) >> 6, 0, 255).astype(np.uint8)
    return cv2.max(pixels, marks)
