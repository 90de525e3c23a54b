"""Paint the collapse on the film's grey levels: what a radiograph displays of air between lung and chest wall.

In the pleural space vessels are gone while ribs, clavicles, devices and noise stay, and it is darker, most where the air is
thick; the vessels of the lung have moved with it; beside the space the lung is a little denser; the visceral pleura is a fine
bright line, visible in parts. The strength of each sign is drawn from wide ranges, from plain to hardly visible. Decoys have one
of these signs without the others, and no air: a network that takes that sign for the finding is wrong there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.painting.collapse import Collapse

Picture = NDArray[Any]
"""float32 grey levels; Any, since OpenCV's type hints are no narrower."""
Kind = Literal["air", "smooth", "line", "dark"]
DECOYS: tuple[Kind, ...] = ("smooth", "smooth", "line", "dark")
"""One of these is drawn: in half of the decoys the vessels fade without air, the others have only a line or a dark stain."""
MARGIN = 12
"""Pixels around the lung that may be changed."""


@dataclass(frozen=True)
class Look:
    """How visible each sign is; contrasts are shares of the difference between chest wall and lung."""

    vessels_lost: float
    darkness: float
    denser: float
    line: float


def sample_look(kind: Kind, rng: np.random.Generator) -> Look:
    """Draw the signs of one painting."""
    hard = rng.random()
    vessels = rng.uniform(0.5, 1.0) if kind == "smooth" else rng.uniform(0.2, 0.9)
    darkness = 0.06 + 0.45 * (1 - hard) * rng.uniform(0.4, 1.0)
    denser, line = rng.uniform(0.0, 0.07), 0.08 + 0.34 * (1 - 0.8 * hard) * rng.random()
    if kind == "air":
        return Look(vessels, darkness, denser, line)
    return Look(
        vessels if kind == "smooth" else 0.0,
        0.8 * darkness if kind == "dark" else 0.0,
        0.0,
        line if kind == "line" else 0.0,
    )


def paint(film: NDArray[np.uint8], found: Collapse, rng: np.random.Generator, kind: Kind = "air") -> Picture:
    """What to add to a film uint8 (512, 512): float32 of the same shape, in grey levels."""
    part = _around(found.field)
    picture, field, space = film[part].astype(np.float32), found.field[part], found.space[part]
    corner = np.array([part[1].start, part[0].start], np.float64)
    look, retracted = sample_look(kind, rng), (field > 0) & (space == 0)
    soft, lung = _soft(space > 0, rng.uniform(0.5, 1.1)), _soft(retracted, 0.8)
    span = _contrast(picture, field)
    change = look.vessels_lost * _vessel_change(
        _vessels(film[part], picture, field), found, corner, soft, lung
    )
    change -= look.darkness * span * _darkness(soft, field, retracted, rng, kind)
    change += look.denser * span * _nearness(space, rng) * lung
    change += look.line * span * _pleura(found, corner, field, rng)
    whole = np.zeros(film.shape, np.float32)
    whole[part] = change
    return whole


def _vessel_change(
    vessels: Picture, found: Collapse, corner: NDArray[np.float64], soft: Picture, lung: Picture
) -> Picture:
    """Change in grey levels as vessels vanish from the space and some of them appear elsewhere in the lung."""
    lost, moved = _moved(vessels, found, corner)
    return -vessels * soft + lung * np.clip(4 * lost, 0, 1) * (
        moved * np.clip(1 - 1.2 * lost, 0, 1) - vessels
    )


def _darkness(
    soft: Picture,
    field: NDArray[np.uint8],
    retracted: NDArray[np.bool_],
    rng: np.random.Generator,
    kind: Kind,
) -> Picture:
    """Darkness of the space, 0..1, most where the air is thick; for a dark decoy, a borderless stain that ends with the lung."""
    from_lung = cv2.distanceTransform(1 - retracted.astype(np.uint8), cv2.DIST_L2, 5)
    thickness = 1 - np.exp(-from_lung / rng.uniform(2, 8))
    if kind == "dark":
        return cv2.GaussianBlur(soft, (0, 0), rng.uniform(8, 20)) * _soft(field > 0, 3)
    return soft * (0.35 + 0.65 * thickness)


def _nearness(space: NDArray[np.uint8], rng: np.random.Generator) -> Picture:
    """1 at the space, falling with the distance from it."""
    return np.exp(-cv2.distanceTransform(1 - space, cv2.DIST_L2, 5) / rng.uniform(6, 30))


def _around(field: NDArray[np.uint8]) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(field.any(axis=1)), np.flatnonzero(field.any(axis=0))
    return (
        slice(max(int(rows[0]) - MARGIN, 0), int(rows[-1]) + 1 + MARGIN),
        slice(max(int(columns[0]) - MARGIN, 0), int(columns[-1]) + 1 + MARGIN),
    )


def _soft(layer: NDArray[np.bool_], sigma: float) -> Picture:
    return np.asarray(cv2.GaussianBlur(layer.astype(np.float32), (0, 0), sigma), np.float32)


def _contrast(picture: Picture, field: NDArray[np.uint8]) -> float:
    """Grey levels between the tissue around the lung and the lung, at least 12."""
    ring = cv2.dilate(field, np.ones((25, 25), np.uint8)) > cv2.dilate(field, np.ones((9, 9), np.uint8))
    inner = cv2.erode(field, np.ones((9, 9), np.uint8)) > 0
    if not ring.any() or not inner.any():
        return 12.0
    return max(12.0, float(np.median(picture[ring]) - np.median(picture[inner])))


def _vessels(film: NDArray[np.uint8], picture: Picture, field: NDArray[np.uint8]) -> Picture:
    """The part of the picture that vessels make: finer than ribs, coarser than noise, and of no larger contrast than most of the
    lung's, so that wires, tubes and the edges of bones stay."""
    noise = picture - cv2.GaussianBlur(picture, (0, 0), 0.8)
    smooth = cv2.GaussianBlur(cv2.medianBlur(np.ascontiguousarray(film), 11).astype(np.float32), (0, 0), 1.0)
    fine = picture - noise - smooth
    inner = cv2.erode(field, np.ones((15, 15), np.uint8)) > 0
    limit = 3 * (1.48 * float(np.median(np.abs(fine[inner]))) + 0.3 if inner.any() else 2.0)
    excess = np.maximum(np.abs(fine) - limit, 0) / (limit / 3)
    return np.asarray(np.clip(fine, -limit, limit) * np.exp(-excess), np.float32)


def _moved(vessels: Picture, found: Collapse, corner: NDArray[np.float64]) -> tuple[Picture, Picture]:
    """The displacement of each pixel as a share of its way to the lung's centre, and the vessels that come to lie there."""
    height, width = vessels.shape
    across, down = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    points = np.stack([across.ravel(), down.ravel()], axis=1) + corner
    lost = found.retraction.lost(points)
    source = found.retraction.centre + (points - found.retraction.centre) / (1 - lost)[:, None] - corner
    x, y = (np.asarray(source[:, k].reshape(height, width), np.float32) for k in (0, 1))
    moved = cv2.remap(vessels, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(lost.reshape(height, width), np.float32), np.asarray(moved, np.float32)


def _pleura(
    found: Collapse, corner: NDArray[np.float64], field: NDArray[np.uint8], rng: np.random.Generator
) -> Picture:
    """The pleural line, 0..1, where the lung's surface is off the wall; its strength varies along it and is 0 in parts."""
    scale = 4
    surface = found.retraction.surface()
    apart = np.hypot(*(surface - found.retraction.outline).T) > 1.5
    knots = rng.random(10)
    along = np.interp(np.linspace(0, 10, len(surface), endpoint=False), np.arange(11), [*knots, knots[0]])
    strength = np.clip(1.6 * along - 0.2, 0, 1)
    layer = np.zeros((field.shape[0] * scale, field.shape[1] * scale), np.uint8)
    points = ((surface - corner) * scale).astype(np.int32).tolist()
    thickness = int(rng.integers(3, 8))
    for i in range(len(points)):
        if apart[i - 1] and apart[i]:
            cv2.line(layer, points[i - 1], points[i], int(255 * strength[i]), thickness)
    small = cv2.resize(layer, field.shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return np.asarray(cv2.GaussianBlur(small, (0, 0), 0.5) * _soft(field > 0, 1.0), np.float32)
