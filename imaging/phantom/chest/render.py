"""One phantom: draw the patient, the disease and the devices, expose, and outline the pneumothorax."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.phantom.canvas import FULL, MM, Depth, Points, add, blank, blur, invert, scaled, times
from imaging.phantom.chest import acquisition, devices, pneumothorax, skeleton, tissue
from imaging.phantom.chest.anatomy import Chest
from imaging.phantom.chest.opacity import opacities
from imaging.phantom.chest.patient import Build, Pose, sample_build, sample_pose
from imaging.phantom.chest.vessels import vessels
from imaging.phantom.cohort import Case, cases
from imaging.settings import PhantomSettings


@dataclass(frozen=True)
class Facts:
    """Facts about a phantom, from which the DICOM header and the tables are written."""

    case: Case
    build: Build
    pose: Pose
    spacing_mm: float
    kind: str
    """Shape of the pneumothorax: '', 'apical', 'lateral', 'basal', 'two-part' or 'large'."""
    side: int
    """-1: the patient's right (left in the image), 1: left, 0: none."""


@dataclass(frozen=True)
class Phantom:
    """A generated chest radiograph."""

    pixels: NDArray[np.uint8]
    """(1024, 1024), brighter = denser."""
    masks: list[NDArray[np.bool_]]
    """(1024, 1024) each; none for a negative; their union is the annotation."""
    facts: Facts


def render(seed: int, index: int, settings: PhantomSettings, tube: bool | None = None) -> Phantom:
    """Generate image `index` of the data set, with the same bytes on every machine. ValueError if there is no such index.

    tube: whether it displays a chest tube; None: by chance, commoner with a pneumothorax.
    """
    plan = cases(settings, seed)
    if not 0 <= index < len(plan):
        raise ValueError(f"phantom index {index}: the settings have images 0 to {len(plan) - 1}")
    case = plan[index]
    build = sample_build(np.random.Generator(np.random.PCG64([seed, 202, case.patient])), case.sick)
    rng = np.random.Generator(np.random.PCG64([seed, 303, index]))
    pose = sample_pose(rng, build)
    chest = Chest(build, pose)
    lungs = tissue.lungs(chest)
    found = pneumothorax.sample(chest, rng, settings, lungs.field) if case.positive else None
    pixels = _expose(_anatomy(chest, lungs, case, found, rng), chest, lungs, case, found, rng, tube)
    masks = pneumothorax.annotate(chest, found, rng) if found else []
    facts = Facts(
        case, build, pose, round(chest.mm, 3), found.kind if found else "", found.side if found else 0
    )
    return Phantom(pixels, masks, facts)


def _anatomy(
    chest: Chest,
    lungs: tissue.Lungs,
    case: Case,
    found: pneumothorax.Pneumothorax | None,
    rng: np.random.Generator,
) -> Depth:
    """Attenuation of the patient on the WORK grid."""
    density = opacities(chest, rng, tissue.parenchyma(chest, rng))
    tree = times(vessels(chest, rng, found.retract if found else _stay), lungs.visible)
    if found:
        density = pneumothorax.collapse(density, found, lungs.envelope[found.side])
        tree = times(
            tree, invert(scaled(found.space, min(1.0, found.strength + 0.4) * 255 / MM).astype(np.uint8))
        )
    trunk = tissue.body(chest, rng)
    space = cv2.min(lungs.air, cv2.subtract(trunk, np.full_like(trunk, tissue.WALL_MM * MM))).astype(np.int32)
    lost = (space * (256 - np.minimum(density, 256)) >> 8).astype(np.uint16)
    dense = add(
        add(trunk, tissue.front(chest)),
        add(skeleton.girdle(chest), skeleton.spine(chest)),
    )
    ribs = times(
        skeleton.rib_layers(chest), np.maximum(lungs.visible, np.uint8(120))
    )  # hidden by scatter elsewhere
    dense = add(dense, add(tree, ribs))
    air = add(tissue.airways(chest), tissue.bowel_gas(chest, rng))
    if rng.random() < (0.14 if case.sick else 0.01):
        air = add(air, tissue.air_under_skin(chest, rng))
    return cv2.subtract(dense, add(lost, air))


def _stay(side: int, points: Points) -> Points:
    return points


def _expose(
    depth: Depth,
    chest: Chest,
    lungs: tissue.Lungs,
    case: Case,
    found: pneumothorax.Pneumothorax | None,
    rng: np.random.Generator,
    tube: bool | None = None,
) -> NDArray[np.uint8]:
    """Attenuation to pixels, with thin structures (pleura, skin fold, tubes, letters) drawn at full size."""
    exposure = acquisition.sample_exposure(rng, chest.pose.view)
    grey = acquisition.display(acquisition.enhance(depth, exposure.detail), exposure, lungs.visible)
    per_mm = (
        (1 + exposure.detail) * (exposure.dense - exposure.lung) / 90.0
    )  # grey levels per millimetre of water
    thin = devices.hardware(chest, case, found.side if found else 0, rng, tube)
    if thin.any():
        grey = add(grey, _grey(blur(thin, 0.8), 28.0, per_mm))
    if found:
        line = pneumothorax.pleural_line(chest, found, blank(FULL))
        grey = add(grey, _grey(blur(line, 0.9), found.pleura, per_mm))
    if rng.random() < (0.22 if chest.pose.view == "AP" else 0.06):
        fold = devices.skin_fold(chest, rng)
        grey = add(grey, _grey(fold, float(rng.uniform(4, 9)), per_mm))
    pixels = acquisition.to_bytes(acquisition.quantum(grey, exposure.noise, rng))
    marked = cv2.max(pixels, devices.letters(blank(FULL), rng, chest.pose.view))
    framed = acquisition.collimate(marked, exposure, rng)
    return devices.redact(framed, rng) if rng.random() < 0.15 else framed


def _grey(layer: NDArray[np.uint8], mm: float, per_mm: float) -> Depth:
    """A thin structure as an addition to the grey, in 1/64."""
    return scaled(layer, mm * per_mm * acquisition.GREY / 32)
