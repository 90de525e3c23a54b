"""What every source answers: its files and labels, and what it left out and why."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from imaging.io.tables import ROWS, packed

RECORD_TYPES = {
    "image_id": "string", "path": "string", "split": "string", "rle": "string", "patient_id": "string",
    "mask": "string", "label": "Int8",
}  # fmt: skip
REJECTED_COLUMNS = ["input", "reason"]


@dataclass(frozen=True)
class Listing:
    """What a source has.

    records: one row an image, sorted by image_id within split: image_id; path (of the file, or FILE.nii#SLICE); split
    ('train' | 'val': set apart by the source itself | 'test': to be scored); rle (union of its codes at the original
    resolution, '-1' empty, NA unlabelled or in a mask file); patient_id (NA: not told); mask (path of its mask
    file, or NA); label (1, 0 or NA: what a table says beside the mask).
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
    """Records as a frame with all columns, sorted; what a record does not say is NA."""
    return packed(records, RECORD_TYPES).sort_values(["split", "image_id"], ignore_index=True)


def rows(records: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Records one by one, each with what it says. It holds those that are left, and not `records`."""
    parts = deque(records[start : start + ROWS].copy() for start in range(0, len(records), ROWS))

    def each() -> Iterator[dict[str, Any]]:
        while parts:
            part = parts.popleft()
            for row in part.itertuples(index=False, name=None):
                yield {name: value for name, value in zip(part.columns, row, strict=True) if pd.notna(value)}

    return each()


def refusals(rejected: list[tuple[str, str]]) -> pd.DataFrame:
    """Inputs and reasons as a frame."""
    return pd.DataFrame(rejected, columns=REJECTED_COLUMNS)
