"""The cohort: patients, their images, and which images are positive.

The distribution follows SIIM-ACR (counted in its label file and the NIH names behind it): 12,047 images of 6,171 patients; 68 %
of the patients have one image, the others 4.0 on average, at most 61; the images of a patient often share the label (3.3
positive images per positive patient). A split by image therefore leaks, as it does in the real data.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from imaging.settings import PhantomSettings

SIZES = (1, 2, 3, 4, 5, 7, 10, 16, 31, 62)
SIZE_SHARES = (0.6837, 0.1501, 0.0583, 0.0337, 0.0339, 0.0207, 0.0120, 0.0065, 0.0011)
"""Share of patients with SIZES[i] images, or up to SIZES[i + 1] - 1; counted over SIIM-ACR's 6,171 patients."""
SICK = (0.026, 0.136, 0.303, 0.495, 0.694, 0.742, 0.905, 1.0, 1.0)
"""Share of the patients of each size who have a pneumothorax on some image."""
UNLABELLED = 0.0035
"""Share of training files without a row in the CSV: 42 of 12,089."""


@dataclass(frozen=True)
class Case:
    """One image to generate; `labelled` is False where the CSV has no row for it."""

    index: int
    split: str
    patient: int
    visit: int
    positive: bool
    labelled: bool
    sick: bool
    """The patient has a pneumothorax on some image: such patients have chest tubes on their other images too."""


def total(settings: PhantomSettings) -> int:
    """Number of images: labelled, test, and the few without a row."""
    return settings.train + settings.test + unlabelled(settings)


def unlabelled(settings: PhantomSettings) -> int:
    """Number of training files without a row in the CSV, at least two."""
    return max(2, round(settings.train * UNLABELLED))


@lru_cache(maxsize=8)
def cases(settings: PhantomSettings, seed: int) -> tuple[Case, ...]:
    """All images in the order of their index: labelled training, test, unlabelled training."""
    groups = (
        ("train", settings.train, True),
        ("test", settings.test, True),
        ("train", unlabelled(settings), False),
    )
    made: list[Case] = []
    for number, (split, count, labelled) in enumerate(groups):
        rng = np.random.Generator(np.random.PCG64([seed, 101, number]))
        patients = _patients(rng, count)
        positive = _positive(rng, patients, round(settings.prevalence * count))
        sick = np.isin(patients, patients[positive])
        visits = _visits(patients)
        for row in range(count):
            identity = int(patients[row]) + 1_000_000 * number
            made.append(
                Case(
                    len(made),
                    split,
                    identity,
                    int(visits[row]),
                    bool(positive[row]),
                    labelled,
                    bool(sick[row]),
                )
            )
    return tuple(made)


def _patients(rng: np.random.Generator, count: int) -> np.ndarray:
    """Patient number of each image, (count,) int; images of one patient are scattered, as in the real files."""
    low = rng.choice(len(SICK), count, p=np.array(SIZE_SHARES) / sum(SIZE_SHARES))
    bounds = np.array(SIZES)
    sizes = np.floor(rng.uniform(bounds[low], bounds[low + 1])).astype(int)
    owner = np.repeat(np.arange(count), sizes)[:count]
    return rng.permutation(owner)


def _positive(rng: np.random.Generator, patients: np.ndarray, count: int) -> np.ndarray:
    """Choose exactly `count` positive images, patient by patient: the more images, the likelier a pneumothorax."""
    size = np.bincount(patients)
    sick = np.array(SICK)[np.searchsorted(SIZES, np.maximum(size, 1), side="right") - 1]
    share = np.where(
        size == 1, 0.97, rng.beta(1.5, 1.25, len(size))
    )  # .55 of a sick patient's images, deviation .26
    propensity = np.where(rng.random(len(size)) < sick, np.clip(share, 0.01, 0.99), 1e-3)
    score = np.log(propensity[patients] / (1 - propensity[patients])) + rng.logistic(size=len(patients))
    chosen = np.zeros(len(patients), bool)
    chosen[np.argsort(-score, kind="stable")[:count]] = True
    return chosen


def _visits(patients: np.ndarray) -> np.ndarray:
    seen: dict[int, int] = {}
    visits = np.zeros(len(patients), int)
    for row, patient in enumerate(patients.tolist()):
        visits[row] = seen.get(patient, 0)
        seen[patient] = visits[row] + 1
    return visits
