"""Find what several sources have in common: the same pictures and the same patients under other names.

SIIM-ACR is a part of NIH ChestX-ray14 under other names. A training image that shows a patient of the hold-out, or of an
external source, is a leak between them. Two things identify it: the pictures (imaging.identity.duplicates), and the NIH patient,
known for SIIM-ACR's ids (imaging.identity.siim_patients) and from NIH's own file names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imaging.identity import patients, siim_patients
from imaging.identity.films import film_of
from imaging.prepared import TRAIN_ONLY

Pairs = list[tuple[int, int]]
_NIH_IMAGE = re.compile(r"(000[0-3]\d{4})_\d{3}")
"""NIH ChestX-ray14: patients 1 to 30805 in eight digits, and the number of the follow-up; a date does not match."""


def nih_patient(image_id: str) -> str | None:
    """The NIH patient, eight digits, of an id of SIIM-ACR or NIH ChestX-ray14, or of a painted film of theirs; else None."""
    film = film_of(image_id)
    named = _NIH_IMAGE.fullmatch(film)
    return named[1] if named else siim_patients.patient_of(film)


def _films(own: Sequence[str]) -> list[str | None]:
    """The film's id for painted films and for the films themselves; None for all other images."""
    films = [film_of(one) for one in own]
    painted = {film for film, one in zip(films, own, strict=True) if film != one}
    return [film if film in painted else None for film in films]


def _same(known: Sequence[str | None]) -> Pairs:
    """Positions of one known patient's images, each with the first of them."""
    first: dict[str, int] = {}
    pairs = []
    for place, patient in enumerate(known):
        if patient is not None and first.setdefault(patient, place) != place:
            pairs.append((first[patient], place))
    return pairs


def owners(
    ids: list[str],
    listed: list[str | None],
    dicom: list[str | None],
    pictures: Pairs,
    origins: pd.DataFrame,
) -> patients.Patients:
    """A patient for each image of several sources: patients of two sources are different unless pictures or known ids join them.

    ids, listed, dicom: as for `patients.assign`. pictures: pairs of duplicates. origins: source and listed_by of each image.
    """
    names: list[str | None] = [None] * len(ids)
    by, notes = [], []
    for (source, listed_by), group in origins.reset_index(drop=True).groupby(
        ["source", "listed_by"], sort=True
    ):
        places = group.index.tolist()
        chosen, found_by, reasons = patients.choose(
            [listed[i] for i in places], [dicom[i] for i in places], str(listed_by)
        )
        by.append(f"{source}: {found_by}")
        notes += [f"{source}: {reason}" for reason in reasons]
        for i, name in zip(places, chosen, strict=True):
            names[i] = None if name is None else f"{source}:{name}"
    own = own_ids(ids, origins["source"].tolist())
    nih = [nih_patient(one) for one in own]
    names = [
        f"nih:{patient}" if name is None and patient else name
        for name, patient in zip(names, nih, strict=True)
    ]
    whole, joined = patients.merge([name or "" for name in names], _same(nih))
    if joined:
        notes.append(
            f"{joined:,} patients with different names have the same NIH patient number and were joined."
        )
    whole, joined = patients.merge(whole, _same(_films(own)))
    if joined:
        notes.append(
            f"{joined:,} patients with different names were joined: a painted film is of its film's patient."
        )
    found = patients.assign(ids, [name or None for name in whole], [None] * len(ids), pictures, "; ".join(by))
    return replace(found, notes=[*notes, *found.notes])


def own_ids(ids: Sequence[str], sources: Sequence[str]) -> list[str]:
    """Image ids without the names of their sources."""
    return [image_id.removeprefix(f"{source}-") for image_id, source in zip(ids, sources, strict=True)]


@dataclass(frozen=True)
class Overlaps:
    """found: one row for each overlapping training image: input (its id), reason. places: their positions. note: for the card."""

    found: pd.DataFrame
    places: list[int]
    note: str


def find(index: pd.DataFrame, pictures: Pairs, kept: bool) -> Overlaps:
    """Training images of patients of the hold-out or of an external source; among images that are only trained on, also those of
    patients in the folds, which are used for validation.

    index: image_id, patient_id (joined, see `owners`), role, split ('val' is a hold-out too). pictures: pairs of duplicates.
    kept: whether they stay in training, for the wording.
    """
    role = index["role"].to_numpy(object)
    only = role == TRAIN_ONLY
    locked = ~only & ((role != "train") | (index["split"] == "val").to_numpy(bool))
    group = np.array(patients.merge([str(i) for i in range(len(index))], pictures)[0], object)
    ids, owner = (index[name].to_numpy(object) for name in ("image_id", "patient_id"))
    first = {False: _firsts(group, owner, locked), True: _firsts(group, owner, ~only)}
    rows, places, same = [], [], 0
    for i in np.flatnonzero(~locked):
        by_picture, by_patient = first[bool(only[i])]
        picture, patient = by_picture.get(group[i]), by_patient.get(owner[i])
        other = picture if picture is not None else patient
        if other is None:
            continue
        same += picture is not None
        what = "the same picture as" if picture is not None else "the same patient as"
        rows.append((ids[i], f"OVERLAP: {what} {ids[other]} {_place(role[other], bool(locked[other]))}"))
        places.append(int(i))
    verb = "kept in training (data.overlaps)" if kept else "left out of training"
    note = (
        f"{len(rows):,} training images overlap with the hold-out or an external source"
        f"{' (or, if only trained on, with the folds)' if only.any() else ''} and are {verb}: {same:,} show the same"
        f" picture, {len(rows) - same:,} another picture of the same patient; rejected.csv lists them."
    )
    return Overlaps(pd.DataFrame(rows, columns=["input", "reason"]), places, note)


def _place(role: str, locked: bool) -> str:
    if role == "external":
        return "of an external source"
    return "of the hold-out" if locked else "of the labelled training data"


def _firsts(
    group: NDArray[np.object_], owner: NDArray[np.object_], chosen: NDArray[np.bool_]
) -> tuple[dict[str, int], dict[str, int]]:
    """The first chosen position of each picture, and of each patient."""
    return _first(group, chosen), _first(owner, chosen)


def _first(keys: NDArray[np.object_], chosen: NDArray[np.bool_]) -> dict[str, int]:
    """The first chosen position of each key."""
    places = np.flatnonzero(chosen)
    return {keys[i]: int(i) for i in places[::-1]}
