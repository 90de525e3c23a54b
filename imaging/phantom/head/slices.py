"""The cohort of head CT phantoms, and one slice of it.

The distribution follows ct-ich: 36 of 82 patients have a haemorrhage, on 318 of 2,501 slices, which are neighbours. A patient has
eight to fourteen slices instead of thirty, so that a small set has enough patients for folds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.dicom.windowing import BRAIN
from imaging.phantom.canvas import FULL, WORK, Layer, blank
from imaging.phantom.head import anatomy, haemorrhage, skull
from imaging.phantom.head import hounsfield as hu
from imaging.phantom.head.haemorrhage import Bleeding
from imaging.settings import PhantomSettings

BONE_WINDOW = (700, 3200)
"""Centre and width, after the images of ct-ich's `bone` folders: skull grey, brain nearly black."""
RUN_SHARE = 0.45
"""Share of a positive patient's slices with haemorrhage, unless the prevalence needs more."""


@dataclass(frozen=True)
class Case:
    """One slice to generate."""

    patient: int
    number: int
    """1 for the lowest slice."""
    z: float
    bleedings: tuple[Bleeding, ...]


@dataclass(frozen=True)
class HeadSlice:
    """A generated slice: brain and bone windows, uint8 (512, 512); mask bool (512, 512); visible kinds of haemorrhage."""

    brain: NDArray[np.uint8]
    bone: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    kinds: tuple[str, ...]


@lru_cache(maxsize=8)
def cases(settings: PhantomSettings) -> tuple[Case, ...]:
    """All slices, `settings.train` of them, patient by patient from below."""
    rng = np.random.Generator(np.random.PCG64([settings.seed, 505]))
    counts = _counts(rng, settings.train)
    wanted = round(settings.prevalence * settings.train)
    sick = _sick(rng, counts, wanted)
    made: list[Case] = []
    turn = {patient: number for number, patient in enumerate(sick)}
    for patient, count in enumerate(counts):
        heights = 0.05 + 0.9 * (np.arange(count) + rng.uniform(0.3, 0.7)) / count
        found = _bleedings(rng, heights, sick.get(patient, 0), turn.get(patient, 0), settings)
        made += [Case(patient, number, float(z), found) for number, z in enumerate(heights, start=1)]
    return tuple(made)


def _counts(rng: np.random.Generator, total: int) -> list[int]:
    """Slices of each patient, eight to fourteen, `total` together."""
    counts: list[int] = []
    while sum(counts) < total:
        counts.append(min(int(rng.integers(8, 15)), total - sum(counts)))
    return counts


def _sick(rng: np.random.Generator, counts: list[int], wanted: int) -> dict[int, int]:
    """Patients with a haemorrhage, and on how many slices: together `wanted`."""
    order = rng.permutation(len(counts)).tolist()
    sick: dict[int, int] = {}
    share = max(RUN_SHARE, wanted / sum(counts))
    for patient in order:
        if wanted <= 0:
            break
        run = min(max(1, round(share * counts[patient] * rng.uniform(0.7, 1.3))), counts[patient], wanted)
        sick[patient], wanted = run, wanted - run
    return sick


def _bleedings(
    rng: np.random.Generator, heights: NDArray[np.float64], run: int, turn: int, settings: PhantomSettings
) -> tuple[Bleeding, ...]:
    """One haemorrhage over `run` neighbouring slices, sometimes with a second one; the kinds alternate."""
    if run == 0:
        return ()
    fits = {
        kind: np.flatnonzero((heights >= low) & (heights <= high))
        for kind, (low, high) in haemorrhage.HEIGHTS.items()
    }
    able = [kind for kind in haemorrhage.KINDS if len(fits[kind]) >= run] or ["subdural"]
    kind = able[turn % len(able)]
    room = max(len(fits[kind]) - run, 0)
    first = (
        min(int(fits[kind][0]) + int(rng.integers(room + 1)), len(heights) - run) if len(fits[kind]) else 0
    )
    step = heights[1] - heights[0] if len(heights) > 1 else 0.1
    middle, half = float(heights[first : first + run].mean()), float((run / 2 + 0.12) * step)
    # Where only large ones are wanted, make them larger, so that few slices lose theirs.
    larger = float(np.clip(np.sqrt(_least(settings) / 600), 1, 1.8))
    kinds = [kind]
    if kind == "intraparenchymal" and rng.random() < 0.4:
        kinds.append("intraventricular")
    if kind in ("subdural", "epidural") and rng.random() < 0.4:
        kinds.append("subarachnoid")
    return tuple(haemorrhage.sample(rng, each, middle, half, settings.difficulty, larger) for each in kinds)


def _least(settings: PhantomSettings) -> int:
    """Fewest pixels of a haemorrhage at the drawn size."""
    return max(settings.least_area * WORK * WORK // FULL**2, 12)


def render(settings: PhantomSettings, index: int) -> HeadSlice:
    """Generate slice `index`, with the same bytes on every machine. ValueError if there is no such slice."""
    plan = cases(settings)
    if not 0 <= index < len(plan):
        raise ValueError(f"phantom index {index}: the settings have slices 0 to {len(plan) - 1}")
    case = plan[index]
    rng = np.random.Generator(np.random.PCG64([settings.seed, 606, index]))
    patient = skull.sample(
        np.random.Generator(np.random.PCG64([settings.seed, 707, case.patient])), case.patient
    )
    picture, mask, kinds = _bled(patient, case.z, case.bleedings)
    if (
        0 < cv2.countNonZero(mask) < _least(settings)
    ):  # too small to outline: as if it ended one slice earlier
        picture, mask, kinds = _bled(patient, case.z, ())
    noise = round(3 + 3 * settings.difficulty)
    units = hu.grain(hu.soften(picture.units, 0.9), noise, rng)
    brain, bone = (hu.windowed(units, int(centre), int(width)) for centre, width in (BRAIN, BONE_WINDOW))
    return HeadSlice(brain, bone, mask > 0, kinds)


def _bled(
    patient: skull.Head, z: float, found: tuple[Bleeding, ...]
) -> tuple[anatomy.Slice, Layer, tuple[str, ...]]:
    """The slice with these haemorrhages, their mask (255 inside), and the visible kinds."""
    push = haemorrhage.shift(found[0], z) if found else skull.Shift()
    picture = anatomy.draw(patient, z, push)
    union, kinds = blank(), []
    for one in found:
        layer = cv2.threshold(haemorrhage.bleed(picture, patient, z, one), 127, 255, cv2.THRESH_BINARY)[1]
        if layer.any():
            kinds.append(one.kind)
        union = cv2.max(union, layer)
    return picture, union, tuple(kinds)
