"""Stage `prepare`: read every training study once and store what training needs in a few large files.

    python -m imaging.prepare

Writes data/prepared/ (images.npy, masks.npy, truth.csv, boxes.csv, rejected.csv, patients.json, index.parquet) and
reports/data/. Test studies are listed in the dataset card and scored from their own files later. Columns of index.parquet, one
row per image, sorted by image_id: image_id, patient_id, path, width, height (original, px), sex, age (years),
view, spacing_mm (of the rows), label (1, 0, NA unlabelled), area_px (of the mask at the original
resolution, 0 for a negative, NA where no mask is known), mask_row (in masks.npy, -1 without; with area_px NA it is the area of
the boxes, a coarse mask),
sha256, split ('train', or 'val' where the source sets it apart). With several sources also: source (its name),
role ('train', 'train-only', 'hold-out', 'external', or 'excluded': overlaps with one of these), weight (in sampling); with
pseudo-labels train_fold and given_fold: see imaging.sources.pseudo_labels.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from imaging.identity import overlaps, patients
from imaging.io import command
from imaging.io.config import load_section
from imaging.io.files import atomic, write_json
from imaging.io.tables import write_csv
from imaging.preparation import dataset_card
from imaging.preparation.studies import read_all
from imaging.prepared import EXCLUDED, FOLDER, PSEUDO_TYPES, SOURCE_TYPES, TRAIN_ONLY, TYPES, PatientRecord
from imaging.settings import DataSettings
from imaging.sources import list_studies


def main() -> None:
    """Read params.yaml and write the prepared data and its report."""
    run(load_section("data", DataSettings))


def run(settings: DataSettings, folder: str | Path = FOLDER, report: str | Path = "reports/data") -> None:
    """Prepare the training studies of a source; ValueError when more than `refused_share` of the inputs are
    refused.
    """
    folder = Path(folder)
    about = _prepared(settings, folder)
    dataset_card.write(report, about)
    with atomic(folder / "index.parquet") as temporary:
        about.index.to_parquet(temporary, index=False)
    if warning := about.patients.warning:
        print(f"{settings.folder}: {warning}", file=sys.stderr)


def _prepared(settings: DataSettings, folder: Path) -> dataset_card.Dataset:
    """Write all files except the index, whose presence marks them as valid."""
    listing = list_studies(settings)
    is_test = listing.records["split"] == "test"
    train = listing.records[~is_test].sort_values("image_id")
    _check_refused(
        listing.rejected, len(train), settings.refused_share, folder, "; no image has been read yet"
    )
    _check_room(folder, train, settings.image_size)

    for leftover in folder.glob(".*.part.*"):  # gigabytes, when an earlier run was killed
        leftover.unlink()
    # written last: without it, nothing in the folder is valid
    (folder / "index.parquet").unlink(missing_ok=True)
    read = read_all(train, settings.image_size, folder, "prepare")
    rejected = pd.concat([listing.rejected, read.rejected], ignore_index=True)
    _check_refused(rejected, len(read.facts), settings.refused_share, folder)
    duplicates = read.duplicates(listing, folder)
    if listing.origins is None:
        owners = read.patients(listing, duplicates)
    else:
        listed, dicom = read.noted("listed_patient"), read.noted("dicom_patient")
        owners = overlaps.owners(read.ids, listed, dicom, duplicates, listing.origins.loc[read.ids])
        owners = patients.joined_by_study(owners, read.noted("study"))
    index = read.facts.assign(patient_id=pd.Series(owners.ids, dtype="string"))[list(TYPES)]
    left_out, notes = listing.skipped, [*listing.notes, *owners.notes, *read.notes]
    if listing.origins is not None:
        index, overlapping = _with_sources(index, listing.origins, duplicates, settings.overlaps == "keep")
        left_out, notes = pd.concat([listing.skipped, overlapping.found]), [overlapping.note, *notes]
    for name, codes in (("truth.csv", "code"), ("boxes.csv", "boxes")):
        found = read.facts.loc[read.facts[codes].notna(), ["image_id", codes]]
        write_csv(folder / name, found.set_axis(["ImageId", "EncodedPixels"], axis=1))
    write_csv(folder / "rejected.csv", pd.concat([rejected, left_out], ignore_index=True))
    record = _record(index, owners)
    write_json(folder / "patients.json", asdict(record))
    images, masks = (np.load(folder / name, mmap_mode="r") for name in ("images.npy", "masks.npy"))
    return dataset_card.Dataset(
        settings=settings,
        index=index,
        images=images,
        masks=masks,
        tests=int(is_test.sum()),
        rejected=rejected,
        patients=record,
        notes=notes,
        finding=listing.finding,
    )


def _with_sources(
    index: pd.DataFrame, origins: pd.DataFrame, duplicates: overlaps.Pairs, keep: bool
) -> tuple[pd.DataFrame, overlaps.Overlaps]:
    """The index with SOURCE_TYPES, and what overlaps; overlapping images have the role EXCLUDED unless they are kept."""
    of_source = origins.loc[index["image_id"].tolist()].reset_index(drop=True)
    types = SOURCE_TYPES | {name: kind for name, kind in PSEUDO_TYPES.items() if name in of_source}
    index = pd.concat([index, of_source[list(types)].astype(types)], axis=1)
    found = overlaps.find(index, duplicates, keep)
    if not keep:
        index.loc[found.places, "role"] = EXCLUDED
    return index, found


def _record(index: pd.DataFrame, owners: patients.Patients) -> PatientRecord:
    labelled = index["label"].notna().to_numpy(bool)
    if "role" in index:  # what is left out or only trained on is not split by patient
        labelled = labelled & ~index["role"].isin([TRAIN_ONLY, EXCLUDED]).to_numpy(bool)
    known = np.array(owners.known, bool)
    return PatientRecord(owners.source, int(labelled.sum()), int((labelled & ~known).sum()))


def _check_refused(rejected: pd.DataFrame, kept: int, allowed: float, folder: Path, so_far: str = "") -> None:
    """ValueError when too many inputs were refused; rejected.csv lists them and is written first. so_far: what may follow."""
    share = len(rejected) / (len(rejected) + kept)
    if share <= allowed and kept:
        return
    write_csv(folder / "rejected.csv", rejected)
    examples = "\n".join(f"  {row.input}: {row.reason}" for row in rejected.head(5).itertuples())
    fix = f"more than data.refused_share {allowed} allows; correct them or raise it to {np.ceil(share * 1000) / 1000:.3f}"
    raise ValueError(
        f"{len(rejected):,} of {len(rejected) + kept:,} training inputs refused,"
        f" {fix if kept else 'which leaves nothing to prepare; correct them'}."
        f" {folder / 'rejected.csv'} lists them{so_far}; the first:\n{examples}"
    )


def _check_room(folder: Path, train: pd.DataFrame, size: int) -> None:
    """ValueError when the folder is not writable or the disk has too little free space."""
    try:
        with atomic(folder / ".room.txt") as trial:
            trial.write_text("")
    except OSError as error:
        raise ValueError(f"{folder}: cannot be written ({error.strerror})") from error
    (folder / ".room.txt").unlink()
    drawn = train["mask"].notna() | train["boxes"].notna() | (train["rle"].notna() & (train["rle"] != "-1"))
    positives = int(drawn.sum())
    needed, free = (len(train) + positives) * size * size, shutil.disk_usage(folder).free
    if needed > free:
        raise ValueError(
            f"{folder}: {len(train):,} images and {positives:,} masks of {size} px need {needed / 1e9:.1f} GB,"
            f" {free / 1e9:.1f} GB are free; free some or lower data.image_size"
        )


if __name__ == "__main__":
    command.run(main, __doc__)
