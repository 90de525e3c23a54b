"""Measures of trainings from their per-image tables: values, and each patient's contribution to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from experiments.compare.seed_variance import Trainings
from experiments.statistics.arrays import Bools, Floats
from experiments.statistics.influence import auroc_influence, mean_influence

PARTS = ("kaggle_dice", "tnr", "dice_positive", "auroc")
"""Of all images, of the empty ones, of the positive ones; AUROC of the final probability."""


def trainings(tables: Sequence[pd.DataFrame], part: str) -> Trainings | None:
    """One of PARTS for each table; None where a table lacks its column or the measure is undefined.

    tables: one row per image, the same images in the same order: patient_id, label, and dice or prob.
    """
    first = tables[0]
    column = "prob" if part == "auroc" else "dice"
    if any(column not in table for table in tables):
        return None
    label = first["label"].to_numpy(bool)
    values = [table[column].to_numpy(np.float64) for table in tables]
    inside = _inside(part, label, values)
    measured = [
        auroc_influence(label, of, inside) if part == "auroc" else mean_influence(of, inside) for of in values
    ]
    if any(np.isnan(value) for value, _ in measured):
        return None
    patient, names = pd.factorize(first["patient_id"])
    share = np.zeros((len(tables), len(names)))
    for row, (_, influence) in zip(share, measured, strict=True):
        np.add.at(row, patient, influence)
    return Trainings(
        np.array([value for value, _ in measured]), share, _patients(part, patient, label, inside)
    )


def _inside(part: str, label: Bools, values: Sequence[Floats]) -> Bools:
    """The images that a measure is taken over: those with a known value in every table."""
    known = ~np.isnan(values).any(axis=0)
    return known & {"tnr": ~label, "dice_positive": label}.get(part, np.ones(len(label), bool))


def _patients(part: str, patient: np.ndarray, label: Bools, inside: Bools) -> int:
    """Number of patients that a measure rests on; for the AUROC, those of the rarer class."""
    if part != "auroc":
        return len(np.unique(patient[inside]))
    return min(len(np.unique(patient[inside & kind])) for kind in (label, ~label))
