"""Intracranial haemorrhage: five kinds, each in its anatomical place.

epidural: a lens between skull and dura. subdural: a crescent along the convexity. subarachnoid: blood in place of the fluid of
sulci, fissures and cisterns. intraparenchymal: a mass within the brain, with oedema around it. intraventricular: blood that
has settled in the lower part of the ventricles; the patient lies on his back.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from imaging.phantom.canvas import Layer, blank, blur, ellipse, fill, shape
from imaging.phantom.head import hounsfield as hu
from imaging.phantom.head import skull as heads
from imaging.phantom.head.anatomy import Slice
from imaging.phantom.head.skull import Head, Shift, body, contour, inner_inset, place

KINDS = ("intraventricular", "intraparenchymal", "subarachnoid", "epidural", "subdural")
HEIGHTS = {
    "intraventricular": (0.37, 0.73),
    "intraparenchymal": (0.3, 0.85),
    "subarachnoid": (0.1, 0.7),
    "epidural": (0.2, 0.88),
    "subdural": (0.28, 0.95),
}
"""Heights at which each kind occurs."""


@dataclass(frozen=True)
class Bleeding:
    """One haemorrhage of a patient."""

    kind: str
    side: int
    """-1: the patient's right (left in the image), 1: left."""
    middle: float
    half: float
    """It extends from height middle - half to middle + half."""
    size: float
    """1: average."""
    where: float
    """0 anterior to 1 posterior."""
    units: int
    """Hounsfield units of the blood."""
    seed: int


def sample(
    rng: np.random.Generator, kind: str, middle: float, half: float, difficulty: float, larger: float = 1.0
) -> Bleeding:
    """Sample a haemorrhage of a kind, `larger` times the usual size; difficulty makes it smaller and less dense."""
    return Bleeding(
        kind,
        side=int(rng.choice([-1, 1])),
        middle=middle,
        half=half,
        size=larger * rng.uniform(0.75, 1.35) * (1 - 0.35 * difficulty * rng.random()),
        where=rng.uniform(0.15, 0.85),
        units=int(rng.uniform(66, 82) - 22 * difficulty * rng.random()),
        seed=int(rng.integers(2**31)),
    )


def extent(bleeding: Bleeding, z: float) -> float:
    """Size of the haemorrhage at height z: 1 in its middle, 0 outside."""
    return float(np.sqrt(max(1 - ((z - bleeding.middle) / bleeding.half) ** 2, 0)))


def shift(bleeding: Bleeding, z: float) -> Shift:
    """How far it shifts the midline; blood in fluid spaces does not."""
    push = {"intraparenchymal": 9.0, "epidural": 8.0, "subdural": 9.0}.get(bleeding.kind, 0.0)
    place_y = -120 + 220 * bleeding.where
    return Shift(-bleeding.side * push * max(bleeding.size - 0.5, 0) * extent(bleeding, z), place_y)


def bleed(picture: Slice, head: Head, z: float, bleeding: Bleeding) -> Layer:
    """Draw the haemorrhage into the slice; return its layer, 255 inside (empty beyond its extent)."""
    reach = extent(bleeding, z)
    if reach == 0:
        return blank()
    rng = np.random.Generator(np.random.PCG64([bleeding.seed, 7]))
    if bleeding.kind in ("epidural", "subdural"):
        layer = _below_the_skull(picture, head, z, bleeding, reach)
    elif bleeding.kind == "intraparenchymal":
        layer = _mass(picture, head, z, bleeding, reach, rng)
    elif bleeding.kind == "subarachnoid":
        layer = _in_spaces(picture, head, z, bleeding, reach)
    else:
        layer = _settled(picture, head, z, bleeding, reach)
    hu.paint(picture.units, layer, bleeding.units)
    return layer


def _below_the_skull(picture: Slice, head: Head, z: float, bleeding: Bleeding, reach: float) -> Layer:
    """A lens (epidural: short and thick) or a crescent (subdural: long and thin)."""
    epidural = bleeding.kind == "epidural"
    width = (0.42 if epidural else 0.95) * (0.6 + 0.4 * reach) * min(bleeding.size, 1.15)
    depth = (30 if epidural else 15) * bleeding.size * reach
    turn = (bleeding.where - 0.5) * (1.5 if epidural else 0.6)  # from lateral, towards anterior or posterior
    middle = turn if bleeding.side > 0 else np.pi - turn
    t = np.linspace(-1, 1, 41)
    profile = 1 - t**2 if epidural else np.sqrt(1 - np.abs(t) ** 3)
    inner = inner_inset(head, z)
    outer_line = contour(head, z, inner - 2, middle + width * t)
    inner_line = contour(head, z, inner, middle + width * t)
    radius = np.hypot(inner_line[:, 0], inner_line[:, 1])
    inner_line = inner_line * (np.maximum(radius - depth * profile, 1) / radius)[:, None]
    layer = shape(place(head, np.concatenate([outer_line, inner_line[::-1]])))
    return cv2.bitwise_and(layer, picture.inside)


def _mass(
    picture: Slice, head: Head, z: float, bleeding: Bleeding, reach: float, rng: np.random.Generator
) -> Layer:
    s = heads.scale(z)
    radius = 27 * bleeding.size * reach
    x = bleeding.side * (50 + 22 * rng.random()) * s
    y = (-85 + 165 * bleeding.where) * s
    t = np.arange(11) * (2 * np.pi / 11)
    lobes = rng.uniform(0.72, 1.25, 11)
    outline = np.stack([x + radius * lobes * np.cos(t), y + 1.15 * radius * lobes * np.sin(t)], 1)
    oedema = np.array([x, y]) + (outline - (x, y)) * (1 + 9 / max(radius, 1))
    hu.paint(picture.units, cv2.bitwise_and(blur(body(head, oedema), 3.0), picture.brain), hu.WHITE - 8)
    return cv2.bitwise_and(body(head, outline), picture.brain)


def _in_spaces(picture: Slice, head: Head, z: float, bleeding: Bleeding, reach: float) -> Layer:
    """Blood in the sulci and fissures of one region; the cisterns fill first."""
    s = heads.scale(z)
    middle = (bleeding.side * 85 * s, (-60 + 70 * bleeding.where) * s)
    region = fill(
        blank(), place(head, ellipse(middle, (85 * bleeding.size * reach, 95 * bleeding.size * reach)))
    )
    if z < 0.26:
        region = fill(region, place(head, ellipse((0, -20 * s), (45 * s, 50 * s))))
    return cv2.bitwise_and(picture.spaces, region)


def _settled(picture: Slice, head: Head, z: float, bleeding: Bleeding, reach: float) -> Layer:
    """Blood settled in the ventricles, to a different level on each side."""
    s = heads.scale(z)
    layer = blank()
    for side, level in ((bleeding.side, 20.0), (-bleeding.side, 45.0)):
        y = (level + 35 - 90 * bleeding.size * reach) * s
        corners = np.array([(0, y), (side * 130 * s, y), (side * 130 * s, 150 * s), (0, 150 * s)], np.float64)
        layer = fill(layer, place(head, corners))
    return cv2.bitwise_and(picture.ventricles, layer)
