"""Source `siim`: SIIM-ACR Pneumothorax as Kaggle published it: DICOM folders and a CSV of run-length codes, both stages.

    dicom-images-train/<study>/<series>/<id>.dcm  or flat     training files; the name is the id (SOPInstanceUID)
    dicom-images-test/…  stage_2_images/ID_….dcm              test files
    train-rle.csv  or  stage_2_train.csv                      ImageId, EncodedPixels; an image may have several rows
    sample_submission.csv  or  stage_2_sample_submission.csv  the ids to be scored
    patients.csv                                              image id, patient (optional: SIIM-ACR's are built in)

Stage 2 released the labels of stage 1's test files, so a labelled file is for training whatever folder it is in.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from imaging import rle, runs
from imaging.identity import patients
from imaging.identity.films import film_of
from imaging.io import walk
from imaging.io.tables import column, read_csv
from imaging.settings import DataSettings
from imaging.sources.discovery import LeftOut, existing, files_below, first, patients_file
from imaging.sources.listing import Listing, refusals, skipped_note, table

TRAIN_FOLDER = "dicom-images-train"
TEST_FOLDER = "dicom-images-test"
STAGE_2_FOLDER = "stage_2_images"
LABEL_FILES = (
    "stage_2_train.csv",
    "train-rle.csv",
)  # the first that is there; stage 2's holds all of stage 1's
SUBMISSION_FILES = ("stage_2_sample_submission.csv", "sample_submission.csv")


def list_studies(settings: DataSettings) -> Listing:
    """List the training and test files with their united codes and patients; ValueError when folder or
    labels are missing.
    """
    folder = existing(settings)
    label_file = first(folder, LABEL_FILES)
    if label_file is None:
        raise ValueError(
            f"{folder}: holds neither {' nor '.join(LABEL_FILES)}; one of them must give the labels"
        )
    labels, rejected, notes = read_labels(label_file)
    skipped: LeftOut = []
    files, doubled = _list_files(folder, labels, skipped)
    refused_ids = {name for name, _ in rejected}
    unreadable = [(path, why) for path, why in skipped if walk.image_id(path) in labels.keys() - files.keys()]
    skipped = [item for item in skipped if item not in unreadable]
    rejected += doubled + unreadable + _without_file(labels, files, unreadable, label_file.name)

    known = patients.look_up(patients_file(folder, settings.patients), labels)
    records = table(
        {
            "image_id": name,
            "path": path,
            "split": _split(name, kind, labels, refused_ids),
            "rle": labels.get(name),
            "patient_id": known.patient.get(name),
        }
        for name, (path, kind) in files.items()
        if name not in refused_ids
    )
    if not (records["split"] == "train").any():
        raise ValueError(f"{folder / TRAIN_FOLDER}: no .dcm file found that can be used for training")
    notes += [*known.notes, *skipped_note(skipped), *_painted(records["image_id"])]
    return Listing(records, refusals(rejected), refusals(skipped), notes, known.source)


def _painted(ids: Iterable[str]) -> list[str]:
    """A note where some images are painted films."""
    painted = sum(film_of(name) != name for name in ids)
    if not painted:
        return []
    return [
        f"**{painted:,} images are painted films (imaging.painting), for training only**: in the hold-out they would be evaluated"
        " as if they were patients. List them as a separate source with the role `train-only`."
    ]


def submission_ids(folder: str | Path) -> list[str] | None:
    """The ids that a submission must have, each once, in the sample's order; None when there is no sample
    file.

    Stage 1's sample repeats an id once for each of its annotations, which leaks the labels of 78 positive
    images: the counts are thrown away here, before anything can read them.
    """
    path = first(Path(folder), SUBMISSION_FILES)
    if path is None:
        return None
    return list(dict.fromkeys(column(read_csv(path), "ImageId", path)))


def read_labels(path: Path) -> tuple[dict[str, str], list[tuple[str, str]], list[str]]:
    """Read a label file: image id -> united code, the refused ids with their reasons, and notes.

    A code does not contain the image's size, so a run past the image's end is found only when the file is read.
    """
    content = read_csv(path)
    labels: dict[str, str] = {}
    several: dict[str, list[str]] = {}
    for image_id, code in zip(
        column(content, "ImageId", path), column(content, "EncodedPixels", path), strict=True
    ):
        if image_id in labels:
            several.setdefault(image_id, [labels[image_id]]).append(code)
        else:
            labels[image_id] = code
    if not labels:
        raise ValueError(f"{path}: no rows")
    note = f"{path.name}: {len(content):,} rows, {len(labels):,} images; {len(several):,} with several rows, united."
    rejected = []
    for image_id, code in labels.items():
        try:
            labels[image_id] = unite(several.get(image_id, [code]))
        except ValueError as error:
            rejected.append((image_id, f"{path.name}: {error}"))
    for image_id, _ in rejected:
        del labels[image_id]
    return labels, rejected, [note]


def unite(codes: list[str]) -> str:
    """One code for all of an image's rows: their union.

    ValueError when '-1' comes with a mask (one of the two is wrong), RleError when a row is not a code.
    """
    empty = [code == rle.EMPTY for code in codes]
    if all(empty):
        return rle.EMPTY
    if any(empty):
        raise ValueError(
            "rows contradict each other: '-1' (no pneumothorax) and a mask; correct the label file"
        )
    if len(codes) == 1:
        rle.area(codes[0])  # refuses an invalid code
        return codes[0]
    return runs.write(runs.union(runs.parse(code) for code in codes))


def _split(image_id: str, kind: str, labels: dict[str, str], refused: set[str]) -> str:
    return "train" if kind == "train" or image_id in labels or image_id in refused else "test"


def _list_files(
    folder: Path, labels: dict[str, str], skipped: LeftOut
) -> tuple[dict[str, tuple[str, str]], LeftOut]:
    """All DICOM files: id -> (path, 'train' | 'test'), and second files of an id with the reason."""
    stage_2 = (folder / STAGE_2_FOLDER).is_dir()
    kinds = {TRAIN_FOLDER: "train", TEST_FOLDER: "train" if stage_2 else "test", STAGE_2_FOLDER: "test"}
    files: dict[str, tuple[str, str]] = {}
    doubled = []
    for path, kind in ((path, kinds[top]) for top in kinds for path in files_below(folder / top, skipped)):
        name = walk.image_id(path)
        if not path.lower().endswith((".dcm", ".dicom")) and os.path.basename(path) not in labels:
            skipped.append((path, "no .dcm file"))
        elif name in files:
            doubled.append((path, f"a second file of the id {name}; kept: {files[name][0]}"))
        else:
            files[name] = (path, kind)
    return files, doubled


def _without_file(
    labels: dict[str, str], files: dict[str, tuple[str, str]], unreadable: LeftOut, label_file: str
) -> LeftOut:
    there = files.keys() | {walk.image_id(path) for path, _ in unreadable}
    return [
        (name, f"in {label_file}, but there is no file {name}.dcm") for name in labels if name not in there
    ]
