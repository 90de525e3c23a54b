"""Whose image is it? Images of one patient must not stand on two sides of a split.

In SIIM-ACR the DICOM PatientID is another one in every file although 12,047 images are of 6,171 patients,
and under an image-level split the other images of a patient alone predict the label with AUROC .83. So the
patient is taken from, in this order: a `patients.csv`; the DICOM PatientID, when it repeats; what can be
told from the pictures (two that are nearly equal are of one patient, all others are a patient each).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from imaging.io.tables import read_csv

_NIH_NAME = re.compile(r"(\d{8})_\d{3}\.png")  # NIH ChestX-ray14: <patient>_<follow-up>.png


def read(path: Path | None) -> dict[str, str]:
    """Read `patients.csv` (image id, patient; any column names) as image id -> patient; {} for None.

    An NIH image name such as `00028864_007.png` in the second column becomes its patient, `00028864`.
    """
    if path is None:
        return {}
    table = read_csv(path)
    if len(table.columns) != 2:
        raise ValueError(
            f"{path}: expected two columns, image id and patient; found {', '.join(table.columns)}"
        )
    known: dict[str, str] = {}
    for image_id, name in table.itertuples(index=False):
        nih = _NIH_NAME.fullmatch(name)
        patient = nih[1] if nih else name
        if not patient:
            raise ValueError(f"{path}: no patient for image {image_id!r}; fill it in or remove the row")
        if known.setdefault(image_id, patient) != patient:
            raise ValueError(f"{path}: image {image_id!r} has two different patients; keep one row of it")
    return known


@dataclass(frozen=True)
class Patients:
    """A patient for each image, and how they were found.

    ids: one patient id an image, in the order given. source: 'patients.csv' or what else told | 'DICOM PatientID' |
    'image clusters'. notes: sentences for the dataset card.
    """

    ids: list[str]
    source: str
    notes: list[str]


def assign(
    image_ids: list[str],
    told: list[str | None],
    dicom: list[str | None],
    twins: Iterable[tuple[int, int]],
    told_by: str = "patients.csv",
) -> Patients:
    """Give each image its patient.

    told: the patient from `told_by`, or None. dicom: the file's PatientID, or None or ''. twins: pairs of
    positions of (nearly) equal pictures, which are of one patient whatever the names say.
    """
    names, source, notes = _choose(told, dicom, told_by)
    alone = [position for position, name in enumerate(names) if name is None]
    if alone and source != "image clusters":
        notes.append(
            f"{len(alone):,} images have no patient in {source}; each counts as a patient of its own."
        )
    ids = [
        name if name is not None else f"image:{image_id}"
        for name, image_id in zip(names, image_ids, strict=True)
    ]
    merged, joined = _merge(ids, list(twins))
    if joined:
        notes.append(
            f"{joined:,} pairs of equal pictures under different patients: their patients are taken as one."
        )
    return Patients(merged, source, notes)


def _choose(
    told: list[str | None], dicom: list[str | None], told_by: str
) -> tuple[list[str | None], str, list[str]]:
    """The best source that there is, with a reason where it is not the first."""
    if any(told):
        return told, told_by, []
    names = [name or None for name in dicom]
    present = [name for name in names if name]
    if len(set(present)) == len(present):
        return (
            [None] * len(names),
            "image clusters",
            ["No patients.csv, and the DICOM PatientID never repeats."],
        )
    if len(set(present)) == 1:
        reason = "No patients.csv, and all files have the same DICOM PatientID."
        return [None] * len(names), "image clusters", [reason]
    return names, "DICOM PatientID", []


def _merge(ids: list[str], twins: list[tuple[int, int]]) -> tuple[list[str], int]:
    """Join the patients of twins (union-find); the joined patient keeps the name that sorts first."""
    parent: dict[str, str] = {}  # of those that have another one

    def root(name: str) -> str:
        while name in parent:
            above = parent[name]
            parent[name] = parent.get(above, above)
            name = above
        return name

    joined = 0
    for one, other in twins:
        first, second = sorted((root(ids[one]), root(ids[other])))
        if first != second:
            joined += 1
            parent[second] = first
    return [root(name) for name in ids], joined
