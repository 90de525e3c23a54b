"""Stage `prepare`: read every training study once, and keep what training needs in few large files.

    python -m imaging.prepare

Writes data/prepared/ (images.npy, masks.npy, truth.csv, rejected.csv, index.parquet) and reports/data/. Test
studies are listed in the dataset card and scored from their own files later. Columns of index.parquet, one
row an image, sorted by image_id: image_id, patient_id, path, width, height (original, px), sex, age (years),
view, spacing_mm (of the rows), label (1, 0, NA unlabelled), area_px (of the mask at the original
resolution), mask_row (in masks.npy, -1 without), sha256, split ('train', or 'val' where the source sets it apart).
"""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from imaging import card, patients
from imaging.examples import Refusal, read_example
from imaging.files import atomic
from imaging.parallel import cores, ordered_map
from imaging.prepared import FOLDER
from imaging.rows import row_writer
from imaging.settings import DataSettings, load_section
from imaging.sources import list_studies
from imaging.sources.listing import REJECTED_COLUMNS, Listing
from imaging.twins import twin_pairs

TYPES = {
    "image_id": "string", "patient_id": "string", "path": "string", "width": "int32", "height": "int32",
    "sex": "string", "age": "Int16", "view": "string", "spacing_mm": "float64", "label": "Int8", "area_px": "Int64",
    "mask_row": "int64", "sha256": "string", "split": "string",
}  # fmt: skip


def main() -> None:
    """Read params.yaml and write the prepared data and its report."""
    run(load_section("data", DataSettings))


def run(settings: DataSettings, folder: str | Path = FOLDER, report: str | Path = "reports/data") -> None:
    """Prepare the training studies of a source; ValueError when more than `refused_share` of the inputs are
    refused.
    """
    folder = Path(folder)
    listing = list_studies(settings)
    train = listing.records[listing.records["split"] != "test"].sort_values("image_id")
    _check_refused(listing.rejected, len(train), settings.refused_share, folder)
    _check_room(folder, train, settings.image_size)

    for leftover in folder.glob(".*.part.*"):  # gigabytes, when an earlier run was killed
        leftover.unlink()
    # Written last: while it is missing, nothing here is valid.
    (folder / "index.parquet").unlink(missing_ok=True)
    read = _read_all(train, settings.image_size, folder)
    rejected = pd.concat([listing.rejected, read.rejected], ignore_index=True)
    _check_refused(rejected, len(read.facts), settings.refused_share, folder)

    owners = _owners(read, train, listing, folder)
    index = read.facts.assign(patient_id=pd.Series(owners.ids, dtype="string"))[list(TYPES)]
    _write_csv(folder / "truth.csv", pd.DataFrame(read.truth, columns=["ImageId", "EncodedPixels"]))
    _write_csv(folder / "rejected.csv", rejected)
    notes = [*listing.notes, *owners.notes, *read.notes]
    images, masks = (np.load(folder / name, mmap_mode="r") for name in ("images.npy", "masks.npy"))
    tests = int((listing.records["split"] == "test").sum())
    about = card.Dataset(
        settings, index, images, masks, tests, rejected, owners.source, notes, listing.finding
    )
    card.write(report, about)
    with atomic(folder / "index.parquet") as temporary:
        index.to_parquet(temporary, index=False)


@dataclass(frozen=True)
class _Read:
    """What reading all studies left in memory: some hundred bytes an image."""

    facts: pd.DataFrame
    truth: list[tuple[str, str]]
    hashes: NDArray[np.uint8]
    dicom_patients: list[str | None]
    rejected: pd.DataFrame
    notes: list[str]


class _Facts:
    """Rows of the index, packed into columns a thousand at a time, since dictionaries of them would grow with the data."""

    def __init__(self) -> None:
        self._packed: list[pd.DataFrame] = []
        self._loose: list[dict[str, Any]] = []

    def append(self, row: dict[str, Any]) -> None:
        """One image's columns, without its patient."""
        self._loose.append(row)
        if len(self._loose) == 1000:
            self._pack()

    def table(self) -> pd.DataFrame:
        """All rows."""
        self._pack()
        return pd.concat(self._packed, ignore_index=True)

    def _pack(self) -> None:
        types = {name: kind for name, kind in TYPES.items() if name != "patient_id"}
        self._packed.append(pd.DataFrame(self._loose, columns=list(types)).astype(types))
        self._loose = []


def _read_all(train: pd.DataFrame, size: int, folder: Path) -> _Read:
    """Stream the studies into images.npy and masks.npy, in their order."""
    cv2.setNumThreads(1)  # the threads below have the cores already
    facts, truth, owners, refusals = _Facts(), [], [], []
    hashes = bytearray()
    odd: Counter[str] = Counter()
    records = (dict(zip(train, row, strict=True)) for row in train.itertuples(index=False, name=None))
    examples = ordered_map(partial(read_example, size=size), records, cores())
    with (
        row_writer(folder / "images.npy", (size, size)) as images,
        row_writer(folder / "masks.npy", (size, size)) as masks,
    ):
        for example in tqdm(examples, "prepare", len(train), disable=None, unit="image"):
            if isinstance(example, Refusal):
                refusals.append((example.input, example.reason))
                continue
            images.append(example.image)
            mask_row = -1 if example.mask is None else masks.append(example.mask)
            facts.append({**example.facts, "mask_row": mask_row})
            if example.code is not None:
                truth.append((example.facts["image_id"], example.code))
            hashes += example.hash.tobytes()
            owners.append(example.patient)
            odd.update(example.oddities)
    notes = [f"{count:,} files: {oddity}." for oddity, count in odd.most_common()]
    rejected = pd.DataFrame(refusals, columns=REJECTED_COLUMNS)
    return _Read(
        facts.table(), truth, np.frombuffer(hashes, np.uint8).reshape(-1, 32), owners, rejected, notes
    )


def _owners(read: _Read, train: pd.DataFrame, listing: Listing, folder: Path) -> patients.Patients:
    """Find each image's patient. Where the source is certain, equal pictures say nothing: CT slices above the head are
    all alike.
    """
    ids = read.facts["image_id"].tolist()
    told = train.set_index("image_id")["patient_id"].reindex(ids)
    images = np.load(folder / "images.npy", mmap_mode="r")
    pairs = [] if listing.certain else twin_pairs(read.hashes, images)
    owners = told.where(told.notna(), None).tolist()
    return patients.assign(ids, owners, read.dicom_patients, pairs, listing.patients)


def _check_refused(rejected: pd.DataFrame, kept: int, allowed: float, folder: Path) -> None:
    """Stop when too many inputs were refused; rejected.csv is written first, so that all of them can be
    read.
    """
    share = len(rejected) / (len(rejected) + kept)
    if share <= allowed and kept:
        return
    _write_csv(folder / "rejected.csv", rejected)
    examples = "\n".join(f"  {row.input}: {row.reason}" for row in rejected.head(5).itertuples())
    mend = f"more than data.refused_share {allowed} allows; mend them or raise it to {np.ceil(share * 1000) / 1000:.3f}"
    raise ValueError(
        f"{len(rejected):,} of {len(rejected) + kept:,} training inputs refused,"
        f" {mend if kept else 'which leaves nothing to prepare; mend them'}."
        f" {folder / 'rejected.csv'} lists all of them; the first:\n{examples}"
    )


def _check_room(folder: Path, train: pd.DataFrame, size: int) -> None:
    """Refuse to start what the disk cannot hold or the user may not write."""
    try:
        with atomic(folder / ".room.txt") as trial:
            trial.write_text("")
    except OSError as error:
        raise ValueError(f"{folder}: cannot be written ({error.strerror})") from error
    (folder / ".room.txt").unlink()
    positives = int((train["mask"].notna() | (train["rle"].notna() & (train["rle"] != "-1"))).sum())
    needed, free = (len(train) + positives) * size * size, shutil.disk_usage(folder).free
    if needed > free:
        raise ValueError(
            f"{folder}: {len(train):,} images and {positives:,} masks of {size} px need {needed / 1e9:.1f} GB,"
            f" {free / 1e9:.1f} GB are free; free some or lower data.image_size"
        )


def _write_csv(path: Path, table: pd.DataFrame) -> None:
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
