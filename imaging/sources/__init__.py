"""Where studies come from: a source lists its files and labels, and says what it left out and why."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from imaging.settings import DataSettings

RECORD_COLUMNS = ["image_id", "path", "split", "rle", "patient_id"]
REJECTED_COLUMNS = ["input", "reason"]


@dataclass(frozen=True)
class Listing:
    """What a source has.

    records: one row an image, sorted by image_id within split: image_id, path (of the file), split ('train' | 'test'),
    rle (union of its codes at the original resolution, '-1' empty, None unlabelled), patient_id (None: not told).
    rejected: one row for each training input left out: input (a file or an id), reason.
    notes: sentences for the dataset card about what was met and tolerated.
    """

    records: pd.DataFrame
    rejected: pd.DataFrame
    notes: list[str] = field(default_factory=list)


def list_studies(settings: DataSettings) -> Listing:
    """List the studies of the source that the settings name."""
    from imaging.sources import siim  # each source imports this module's Listing

    return siim.list_studies(settings)  # the phantom writes its files in SIIM's form
