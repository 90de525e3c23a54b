"""Normal anatomy of one axial slice: scalp, skull, brain and cerebrospinal fluid spaces."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from imaging.phantom.canvas import Layer, band, blank, blur, ellipse, fill
from imaging.phantom.head import fluid
from imaging.phantom.head import hounsfield as hu
from imaging.phantom.head import skull as heads
from imaging.phantom.head.skull import Head, Shift, body, contour, mirror, place, within


@dataclass(frozen=True)
class Slice:
    """Hounsfield units of a slice, and the layers (255 inside) in which blood can be."""

    units: hu.Units
    inside: Layer
    """Inside the skull."""
    brain: Layer
    spaces: Layer
    """Sulci, fissures and cisterns."""
    ventricles: Layer


def draw(head: Head, z: float, shift: Shift) -> Slice:
    """Draw a normal slice; `shift` moves what is near the midline."""
    rng = np.random.Generator(np.random.PCG64([head.seed, round(z * 10_000)]))
    units = hu.air()
    _cover(units, head, z)
    inside = within(head, z, heads.inner_inset(head, z))
    brain = _brain(head, z, rng)
    hu.paint(units, inside, hu.CSF + 4)
    hu.paint(units, brain, hu.GREY)
    hu.paint(units, _white(head, z, shift, rng), hu.WHITE)
    _nuclei(units, head, z, shift)
    spaces, ventricles = fluid.spaces(head, z, shift, rng), fluid.ventricles(head, z, shift)
    hu.paint(units, cv2.bitwise_and(spaces, inside), hu.CSF)
    hu.paint(units, ventricles, hu.CSF - 2)
    _falx(units, head, z, shift, inside)
    _calcium(units, head, z, shift, rng)
    _base(units, head, z, inside)
    gap = cv2.bitwise_and(inside, cv2.bitwise_not(brain))
    return Slice(units, inside, brain, cv2.bitwise_and(cv2.max(spaces, gap), inside), ventricles)


def _cover(units: hu.Units, head: Head, z: float) -> None:
    """Skin, fat, galea, and the skull with its diploe."""
    inner = heads.inner_inset(head, z)
    for inset, value in ((-15, hu.SKIN), (-11, hu.FAT), (-3, hu.SKIN), (0, hu.BONE + 300)):
        hu.paint(units, within(head, z, inset), value)
    hu.paint(units, within(head, z, 0.3 * inner), hu.BONE - 500)
    hu.paint(units, within(head, z, 0.7 * inner), hu.BONE + 300)


def _brain(head: Head, z: float, rng: np.random.Generator) -> Layer:
    """The brain's surface: a gap below the skull that widens with age, and the gyri."""
    angles = np.arange(96) * (2 * np.pi / 96)
    gap = heads.inner_inset(head, z) + 1.5 + 5 * head.atrophy
    edge = contour(head, z, gap, angles)
    gyri = 1 + (0.006 + 0.012 * head.atrophy) * rng.uniform(-1, 1, 96)
    return body(head, edge * gyri[:, None])


def _white(head: Head, z: float, shift: Shift, rng: np.random.Generator) -> Layer:
    """White matter of both hemispheres, under a folded cortex of about 4 mm."""
    angles = np.arange(64) * (2 * np.pi / 64)
    folds = np.where(np.arange(64) % 2, 30, 15) + rng.uniform(-5, 7, 64)
    edge = contour(head, z, heads.inner_inset(head, z) + 4 + 4 * head.atrophy, angles)
    radius = np.hypot(edge[:, 0], edge[:, 1])
    edge = edge * (np.maximum(radius - folds, 6) / radius)[:, None]
    layer = blank()
    for side in (-1, 1):
        half = edge.copy()
        half[:, 0] = side * np.maximum(side * half[:, 0], 11)
        layer = cv2.max(layer, body(head, shift(half)))
    if 0.26 < z < 0.74:  # corpus callosum and below: the hemispheres are joined
        s = heads.scale(z)
        layer = cv2.max(layer, body(head, shift(ellipse((0, -10 * s), (16 * s, 86 * s))), False))
    return blur(layer, 3.0)


def _nuclei(units: hu.Units, head: Head, z: float, shift: Shift) -> None:
    """Caudate, lentiform nucleus, thalamus and insula at the level of the basal ganglia; brainstem and cerebellum below."""
    s = heads.scale(z)
    if 0.36 < z < 0.60:
        for side in (-1, 1):
            for (x, y), radii, turn in (
                ((58, -22), (13, 29), 0.25),
                ((22, 8), (17, 24), -0.2),
                ((29, -58), (9, 16), -0.3),
                ((92, -18), (7, 34), 0.1),
            ):
                outline = shift(ellipse((side * x * s, y * s), (radii[0] * s, radii[1] * s), side * turn))
                hu.paint(units, blur(body(head, outline, False), 2.0), hu.GREY + 1)
    if z < 0.24:
        tent = mirror([(0, 28), (60, 48), (104, 88), (90, 140), (40, 172), (0, 178)], 1, s)
        both = np.concatenate([tent, tent[::-1] * (-1, 1)])
        hu.paint(units, blur(body(head, both), 2.0), hu.GREY - 2)
    if z < 0.32:
        hu.paint(units, blur(body(head, ellipse((0, 26 * s), (27 * s, 24 * s)), False), 1.5), hu.WHITE + 3)


def _falx(units: hu.Units, head: Head, z: float, shift: Shift, inside: Layer) -> None:
    """The falx in the midline fissure, from the cisterns upwards."""
    if z < 0.26:
        return
    layer = blank()
    for line in fluid.fissure(head, z, shift):
        fill(layer, place(head, band(line, 0.9)))
    hu.paint(units, cv2.bitwise_and(layer, inside), hu.DURA)


def _calcium(units: hu.Units, head: Head, z: float, shift: Shift, rng: np.random.Generator) -> None:
    """Pineal gland and choroid plexus: bright and normal, and easily mistaken for blood."""
    if not 0.38 < z < 0.52 or head.atrophy < 0.25:
        return
    s = heads.scale(z)
    spots = [(0.0, 24.0, 4.0), (48.0, 66.0, 4.5), (-48.0, 66.0, 4.5)]
    for x, y, radius in spots:
        outline = ellipse((x * s, y * s), (radius * rng.uniform(0.6, 1.1), radius * rng.uniform(0.6, 1.2)))
        hu.paint(units, body(head, shift(outline), False), hu.CALCIUM)


def _base(units: hu.Units, head: Head, z: float, inside: Layer) -> None:
    """Petrous bones and the wings of the sphenoid in the lowest slices."""
    if z > 0.14:
        return
    s = heads.scale(z)
    for side in (-1, 1):
        for wedge in (
            [(140, 0), (150, 44), (70, 34), (34, 10), (60, 4)],
            [(135, -88), (128, -66), (60, -58), (26, -50), (62, -74)],
        ):
            layer = body(head, mirror(wedge, side, s))
            hu.paint(units, cv2.bitwise_and(layer, inside), hu.BONE)
