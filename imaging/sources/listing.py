"""What every source answers: its files and labels, and what it left out and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

RECORD_COLUMNS = ["image_id", "path", "split", "rle", "patient_id", "mask", "label"]
REJECTED_COLUMNS = ["input", "reason"]


@dataclass(frozen=True)
class Listing:
    """What a source has.

    records: one row an image, sorted by image_id within split: image_id; path (of the file, or FILE.nii#SLICE); split
    ('train' | 'val': set apart by the source itself | 'test': to be scored); rle (union of its codes at the original
    resolution, '-1' empty, None unlabelled or in a mask file); patient_id (None: not told); mask (path of its mask
    file, or None); label (1, 0 or None: what a table says beside the mask).
    rejected: one row for each training input left out: input (a file or an id), reason.
    notes: sentences for the dataset card about what was met and tolerated.
    patients: where patient_id is from. certain: whether it is beyond doubt, so that equal pictures do not join patients.
    finding: what the masks show.
    """

    records: pd.DataFrame
    rejected: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    patients: str = "patients.csv"
    certain: bool = False
    finding: str = "pneumothorax"


def table(records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Records as a frame with all columns, sorted; what a record does not say is None."""
    columns: dict[str, list[Any]] = {name: [] for name in RECORD_COLUMNS}
    for record in records:
        for name, values in columns.items():
            values.append(record.get(name))
    return pd.DataFrame(columns, dtype=object).sort_values(["split", "image_id"], ignore_index=True)


def refusals(rejected: list[tuple[str, str]]) -> pd.DataFrame:
    """Inputs and reasons as a frame."""
    return pd.DataFrame(rejected, columns=REJECTED_COLUMNS)
