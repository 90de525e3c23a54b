"""One phantom: draw the patient, the disease and the devices, expose, and outline the pneumothorax."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.phantom import acquisition, devices, disease, skeleton, tissue
from imaging.phantom.anatomy import Build, Chest, Pose, sample_build, sample_pose
from imaging.phantom.canvas import FULL, MM, Depth, Layer, Points, blank, blur, resize, scaled, times
from imaging.phantom.plan import Case, cases
from imaging.settings import PhantomSettings


@dataclass(frozen=True)
class Facts:
    """What is known of a phantom; the DICOM header and the tables are written from it."""

    case: Case
    build: Build
    pose: Pose
    spacing_mm: float
    kind: str
    """Form of the pneumothorax: '', 'apical', 'lateral', 'basal', 'two-part' or 'large'."""
    side: int
    """-1: the patient's right (left in the picture), 1: left, 0: none."""


@dataclass(frozen=True)
class Phantom:
    """A generated chest radiograph."""

    pixels: NDArray[np.uint8]
    """(1024, 1024), brighter = denser."""
    masks: list[NDArray[np.bool_]]
    """(1024, 1024) each; none for a negative; their union is the annotation."""
    facts: Facts


def render(seed: int, index: int, settings: PhantomSettings) -> Phantom:
    """Make image `index` of the data set; the same bytes on every machine. ValueError when there is no such index."""
    plan = cases(settings, seed)
    if not 0 <= index < len(plan):
        raise ValueError(f"phantom index {index}: the settings have images 0 to {len(plan) - 1}")
    case = plan[index]
    build = sample_build(np.random.Generator(np.random.PCG64([seed, 202, case.patient])))
    rng = np.random.Generator(np.random.PCG64([seed, 303, index]))
    pose = sample_pose(rng, build)
    chest = Chest(build, pose)
    lungs = tissue.lungs(chest)
    found = (
        disease.sample_pneumothorax(chest, rng, settings.difficulty, lungs.field) if case.positive else None
    )
    depth = _anatomy(chest, lungs, found, rng)
    exposure = acquisition.sample_exposure(rng, pose.view)
    depth = resize(acquisition.enhance(depth, exposure.detail), FULL)
    depth = _fine(depth, chest, case, found, rng)
    field = cv2.max(lungs.field[-1], lungs.field[1])
    grey = acquisition.finish(depth, exposure, field, rng)
    marks = blank(FULL)
    devices.letters(marks, rng, pose.view)
    facts = Facts(
        case, build, pose, round(chest.mm, 3), found.kind if found else "", found.side if found else 0
    )
    return Phantom(acquisition.to_bytes(grey, marks), disease.annotate(found, rng) if found else [], facts)


def _anatomy(
    chest: Chest, lungs: tissue.Lungs, found: disease.Pneumothorax | None, rng: np.random.Generator
) -> Depth:
    """Attenuation of the patient on the WORK grid."""
    density = disease.opacities(chest, rng, tissue.parenchyma(chest, rng))
    trunk = tissue.body(chest, rng)
    tree = tissue.vessels(chest, rng, found.retract if found else _healthy)
    lung = cv2.max(lungs.field[-1], lungs.field[1])
    tree = times(tree, lung)
    if found:
        density = disease.apply_density(density, found, lungs.envelope[found.side])
        tree = times(tree, cv2.bitwise_not(found.space))
    air = lungs.air.astype(np.int32)
    total = trunk.astype(np.int32) - air + (air * np.clip(density, 0, 256) >> 8)
    for part in (
        tissue.breasts(chest),
        tree,
        skeleton.rib_layers(chest),
        skeleton.girdle(chest),
        skeleton.spine(chest),
    ):
        total += part
    total -= tissue.airways(chest)
    total -= tissue.bowel_gas(chest, rng)
    return np.clip(total, 0, 65535).astype(np.uint16)


def _healthy(side: int, points: Points) -> Points:
    return points


def _fine(
    depth: Depth, chest: Chest, case: Case, found: disease.Pneumothorax | None, rng: np.random.Generator
) -> Depth:
    """Add on the FULL grid what is thin: pleural line, skin fold, tubes and wires."""
    if found:
        line = blur(disease.pleural_line(found, blank(FULL)), 0.8)
        depth = cv2.add(depth, scaled(line, 3.0 + 4.0 * found.strength))
    if rng.random() < (0.22 if chest.pose.view == "AP" else 0.06):
        wedge, _ = devices.skin_fold(chest, rng)
        depth = cv2.add(depth, scaled(blur(wedge, 1.0), rng.uniform(4, 9)))
    return cv2.add(depth, scaled(blur(_hardware(chest, case, found, rng), 0.7), 40.0))


def _hardware(
    chest: Chest, case: Case, found: disease.Pneumothorax | None, rng: np.random.Generator
) -> Layer:
    layer = blank(FULL)
    bedside = chest.pose.view == "AP"
    draws = rng.random(5)
    tube = 0.34 if found else (0.18 if case.sick else 0.03)
    if draws[0] < tube:
        devices.chest_tube(layer, chest, rng, found.side if found else (-1 if rng.random() < 0.5 else 1))
    if draws[1] < (0.45 if bedside else 0.06):
        devices.electrodes(layer, chest, rng)
    if draws[2] < (0.4 if bedside else 0.08):
        devices.catheter(layer, chest, rng)
    if draws[3] < (0.3 if bedside else 0.0):
        devices.airway_tube(layer, chest, rng)
    if chest.build.implant:
        devices.pacemaker(layer, chest, rng)
    return layer


__all__ = ["MM", "Facts", "Phantom", "render"]
