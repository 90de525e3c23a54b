"""Find the patient of each image: images of one patient must be on one side of a split.

In SIIM-ACR every file has a different DICOM PatientID, although the 12,047 images come from 6,171 patients, and under a split by
image the other images of a patient alone predict the label with AUROC .83. So the patient is taken from, in this order: a
`patients.csv`; the built-in table of SIIM-ACR's ids; the DICOM PatientID, where it repeats. Else it is unknown, and the image
counts as a patient of its own. Nearly equal pictures, and images of one DICOM study, are of one patient in any case.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from imaging.identity import siim_patients
from imaging.io import walk
from imaging.io.tables import read_csv

FILE = "patients.csv"
ALONE = "image:"
"""Begins the patient id of an image whose patient is not known."""
UNKNOWN = "image clusters"
"""The source of patients where none is known."""
_NIH_NAME = re.compile(r"(\d{8})_\d{3}\.png")  # NIH ChestX-ray14: <patient>_<follow-up>.png


@dataclass(frozen=True)
class KnownPatients:
    """Patients known before any image file is read.

    patient: image id -> patient, of the images that are known. source: where they are from. notes: sentences for the card.
    """

    patient: dict[str, str] = field(default_factory=dict)
    source: str = FILE
    notes: list[str] = field(default_factory=list)


def look_up(path: Path | None, ids: Collection[str]) -> KnownPatients:
    """The patients of the images `ids`, by `patients.csv` (None: there is no such file), else by the table of SIIM-ACR's ids.

    ValueError when the file is not such a table, or contains none of the images.
    """
    found, notes = _of_file(path, ids) if path else ({}, [])
    known = {name: patient for name in ids if (patient := siim_patients.patient_of(name))}
    added = known.keys() - found.keys()
    sources = ([FILE] if path else []) + ([siim_patients.SOURCE] if added else [])
    if added:
        notes.append(f"{len(added):,} of {len(ids):,} images have their patient from {siim_patients.SOURCE}.")
    return KnownPatients(known | found, " and ".join(sources) or FILE, notes)


def _of_file(path: Path, ids: Collection[str]) -> tuple[dict[str, str], list[str]]:
    """Image id -> patient by the file, and notes."""
    table, notes = _oriented(path, set(ids))
    known: dict[str, str] = {}
    for name, patient in table.itertuples(index=False):
        if not patient:
            raise ValueError(f"{path}: no patient for image {name!r}; fill it in or remove the row")
        if known.setdefault(name, patient) != patient:
            raise ValueError(f"{path}: image {name!r} has two different patients; keep one of its rows")
    found = sum(name in known for name in ids)
    if ids and not found:
        raise ValueError(
            f"{path}: has none of the {len(ids):,} images; the data's first id is {min(ids)!r}, the file's first is"
            f" {table.iloc[0, 0] if len(table) else ''!r}. Correct the ids, or remove the file"
        )
    if found < len(ids):
        notes.append(f"{path.name} has {found:,} of {len(ids):,} images.")
    return known, notes


def _oriented(path: Path, ids: set[str]) -> tuple[pd.DataFrame, list[str]]:
    """The file's rows as (image id, patient), whichever column comes first and whatever endings ids have, and notes.

    An NIH image name such as `00028864_007.png` becomes its patient, `00028864`.
    """
    table = read_csv(path)
    if len(table.columns) != 2:
        raise ValueError(
            f"{path}: expected two columns, image id and patient; found {', '.join(table.columns)}"
        )
    notes = []
    header = [str(name) for name in table.columns]
    table.columns = ["image", "patient"]
    if any(_as_id(name, ids) in ids for name in header):
        table = pd.concat([pd.DataFrame([header], columns=table.columns), table], ignore_index=True)
        notes.append(f"{path.name} has no header line.")
    named = {column: table[column].map(lambda name: _as_id(name, ids)) for column in table}
    fitting = {column: int(names.isin(ids).sum()) for column, names in named.items()}
    image, patient = ("patient", "image") if fitting["patient"] > fitting["image"] else ("image", "patient")
    if image == "patient":
        notes.append(f"{path.name} has the image ids in its second column.")
    return pd.DataFrame({"image": named[image], "patient": table[patient].map(_as_patient)}), notes


def _as_id(name: str, ids: set[str]) -> str:
    return name if name in ids else walk.image_id(name.replace("\\", "/"))


def _as_patient(name: str) -> str:
    nih = _NIH_NAME.fullmatch(name)
    return nih[1] if nih else name


@dataclass(frozen=True)
class Patients:
    """A patient for each image, and how they were found.

    ids: one patient id per image, in the order given. known: whether each is more than the image itself. source: 'patients.csv'
    or another source's name | 'DICOM PatientID' | 'image clusters'. notes: sentences for the dataset card.
    """

    ids: list[str]
    known: list[bool]
    source: str
    notes: list[str]


def assign(
    image_ids: list[str],
    listed: list[str | None],
    dicom: list[str | None],
    duplicates: Iterable[tuple[int, int]],
    listed_by: str = FILE,
) -> Patients:
    """Give each image its patient.

    listed: the patient from `listed_by`, or None. dicom: the file's PatientID, or None or ''. duplicates: pairs of
    positions of (nearly) equal pictures, which are of one patient whatever the names say.
    """
    names, source, notes = choose(listed, dicom, listed_by)
    alone = [position for position, name in enumerate(names) if name is None]
    if alone and source != UNKNOWN:
        notes.append(
            f"{len(alone):,} images have no patient in {source}; each counts as a patient of its own."
        )
    ids = [
        name if name is not None else f"{ALONE}{image_id}"
        for name, image_id in zip(names, image_ids, strict=True)
    ]
    merged, joined = merge(ids, list(duplicates))
    if joined:
        notes.append(f"{joined:,} pairs of equal pictures had different patients, which were joined.")
    return Patients(merged, [name is not None for name in names], source, notes)


def choose(
    listed: list[str | None], dicom: list[str | None], listed_by: str
) -> tuple[list[str | None], str, list[str]]:
    """The best source available, with a reason where it is not the first choice."""
    if any(listed):
        return listed, listed_by, []
    names = [name or None for name in dicom]
    present = [name for name in names if name]
    if len(set(present)) == len(present):
        reason = "No patients.csv, and the DICOM PatientID never repeats."
        return [None] * len(names), UNKNOWN, [reason]
    if len(set(present)) == 1:
        reason = "No patients.csv, and all files have the same DICOM PatientID."
        return [None] * len(names), UNKNOWN, [reason]
    return names, "DICOM PatientID", []


def joined_by_study(found: Patients, studies: Sequence[str | None]) -> Patients:
    """The patients with the images of one study joined; studies: the StudyInstanceUID of each image, or None.

    A UID that all images share was written by a de-identification, and means nothing.
    """
    groups: dict[str, list[int]] = {}
    for place, study in enumerate(studies):
        if study:
            groups.setdefault(study, []).append(place)
    if len(groups) == 1 and len(found.ids) == len(next(iter(groups.values()))) > 2:
        return found
    several = [places for places in groups.values() if len(places) > 1]
    if not several:
        return found
    ids, joined = merge(found.ids, [(places[0], other) for places in several for other in places[1:]])
    note = (
        f"{len(several):,} studies have several images, {max(map(len, several)):,} at most; images are counted and measured, not"
        f" studies. Images of one study are of one patient{f': {joined:,} patients were joined' if joined else ''}."
    )
    known = [was or not name.startswith(ALONE) for was, name in zip(found.known, ids, strict=True)]
    return replace(found, ids=ids, known=known, notes=[*found.notes, note])


def merge(ids: list[str], duplicates: list[tuple[int, int]]) -> tuple[list[str], int]:
    """Join the patients of duplicates (union-find); the joined patient keeps the known name that sorts first."""
    parent: dict[str, str] = {}  # of those that have another one

    def root(name: str) -> str:
        while name in parent:
            above = parent[name]
            parent[name] = parent.get(above, above)
            name = above
        return name

    joined = 0
    for one, other in duplicates:
        first, second = sorted((root(ids[one]), root(ids[other])), key=_unknown_last)
        if first != second:
            joined += 1
            parent[second] = first
    return [root(name) for name in ids], joined


def _unknown_last(name: str) -> tuple[bool, str]:
    return name.startswith(ALONE), name
