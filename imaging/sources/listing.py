"""What every source returns: its files and labels, and what it left out and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from imaging.io.tables import typed

RECORD_TYPES = {
    "image_id": "string", "path": "string", "split": "string", "rle": "string", "patient_id": "string",
    "mask": "string", "label": "Int8", "boxes": "string", "sex": "string", "age": "Int16", "view": "string",
    "drain": "Int8", "spacing_mm": "Float64", "height_mm": "Float64",
}  # fmt: skip
REJECTED_COLUMNS = ["input", "reason"]
NAMED = 5
"""Skipped files that the note names."""


@dataclass(frozen=True)
class Listing:
    """What a source has.

    records: one row per image, sorted by image_id within split: image_id; path (of the file, or FILE.nii#SLICE); split
    ('train' | 'val': set apart by the source itself | 'test': to be scored); rle (union of its codes at the original
    resolution, '-1' empty, NA unlabelled or in a mask file); patient_id (NA: not known); mask (path of its mask
    file, or NA); label (1, 0 or NA: what a table says beside the mask); boxes (of the finding, NA for none: `x y width height` in
    pixels, separated by `;`); sex, age, view (NA: as the file says);
    drain (1 or 0: whether a chest tube is visible, NA: not known); spacing_mm (of the rows), or height_mm (of the whole image),
    which override the file's.
    rejected: one row for each training input left out: input (a file or an id), reason.
    skipped: one row for each file that is no training input (README.txt, a pipe, a broken link): input, reason.
    notes: sentences for the dataset card about irregularities that were tolerated.
    patients: where patient_id is from. certain: whether it is beyond doubt, so that equal pictures do not join patients.
    finding: what the masks display. origins: with several sources, by image id: source (its name), role, weight, and listed_by
    (where its patients are from).
    """

    records: pd.DataFrame
    rejected: pd.DataFrame
    skipped: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    patients: str = "patients.csv"
    certain: bool = False
    finding: str = "pneumothorax"
    origins: pd.DataFrame | None = None


def table(records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Records as a frame with all columns, sorted; values that a record does not have are NA."""
    return typed(records, RECORD_TYPES).sort_values(["split", "image_id"], ignore_index=True)


def rows(records: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Records one by one, each without the values that are NA."""
    for row in records.itertuples(index=False, name=None):
        yield {name: value for name, value in zip(records.columns, row, strict=True) if pd.notna(value)}


def refusals(left_out: list[tuple[str, str]]) -> pd.DataFrame:
    """Inputs and reasons as a frame."""
    return pd.DataFrame(left_out, columns=REJECTED_COLUMNS)


def skipped_note(skipped: list[tuple[str, str]]) -> list[str]:
    """The sentence of the dataset card about skipped files; none without any."""
    if not skipped:
        return []
    named = ", ".join(f"{Path(path).name} ({reason})" for path, reason in skipped[:NAMED])
    more = " …" if len(skipped) > NAMED else ""
    return [f"{len(skipped):,} files skipped, listed in rejected.csv: {named}{more}."]
