"""Write painted films as a data set in SIIM-ACR's form, from one in that form whose images without a pneumothorax are taken.

dicom-images-train/<id>.dcm    painted films and decoys at the films' own size; with `copied`, the given files beside them
train-rle.csv                  the painted air, `-1` for decoys (and the given labels)
patients.csv                   image id, patient of the film: a painted film is of the film's patient
painted.csv                    image id, film, what was painted
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import JPEGBaseline8Bit, SecondaryCaptureImageStorage, generate_uid
from tqdm import tqdm

from imaging import rle
from imaging.decoding.radiograph import Facts, RefusedFile, to_uint8
from imaging.formats.reader import read
from imaging.io.files import atomic_folder, write_text
from imaging.painting.air import DECOYS, Kind, paint
from imaging.painting.collapse import sample
from imaging.painting.lung_fields import lung_fields
from imaging.phantom.canvas import WORK
from imaging.phantom.dataset import in_order
from imaging.phantom.dicom_writer import jpeg
from imaging.resize import resize_image
from imaging.settings import DataSettings
from imaging.sources import siim
from imaging.sources.siim import TRAIN_FOLDER

NOTE = "PAINTED.txt"
"""A file that marks the folder as generated, so that it may be replaced."""
TEXT = """Radiographs on which a pneumothorax, or a decoy without one, was painted by `python -m imaging.painting`.
For training only; see docs/painting.md. Patients are those of the films: patients.csv.
"""
TRIES = 4
"""Films, in turn all of them, before the number wanted is given up."""


@dataclass(frozen=True)
class Film:
    """One labelled image."""

    image_id: str
    path: str
    patient: str
    code: str
    """Of its mask; `-1` for none."""


@dataclass(frozen=True)
class _Row:
    """A written picture, the film it was painted on, and what was painted."""

    film: Film
    of: str
    kind: Kind


@dataclass(frozen=True)
class Painted:
    """A film with painted air, or a decoy (mask empty): pixels uint8 (H, W), mask uint8 0/1 (H, W)."""

    pixels: NDArray[np.uint8]
    mask: NDArray[np.uint8]


@dataclass(frozen=True)
class _Job:
    folder: Path
    film: Film
    number: int
    seed: int
    kind: Kind | None
    """None: one of the decoys."""


def painted(pixels: NDArray[np.uint8], rng: np.random.Generator, kind: Kind = "air") -> Painted | None:
    """Paint on a film uint8 (H, W), brighter = denser; None where no lung is found."""
    found = sample(lung_fields(pixels), rng)
    if found is None:
        return None
    height, width = pixels.shape
    change = paint(resize_image(pixels, WORK), found, rng, kind)
    change = cv2.resize(change, (width, height), interpolation=cv2.INTER_LINEAR)
    mask = cv2.resize(found.mask, (width, height), interpolation=cv2.INTER_NEAREST).astype(np.uint8)
    new = np.clip(np.rint(pixels + change), 0, 255).astype(np.uint8)
    return Painted(new, mask if kind == "air" else np.zeros_like(mask))


def write(
    studies: Path,
    output: Path,
    number: int,
    decoys: int,
    seed: int,
    copied: bool = False,
    workers: int | None = None,
) -> tuple[int, int]:
    """Write `number` painted films and `decoys`; return how many of each there are: fewer where few lungs are found.

    studies: a folder in SIIM-ACR's form with patients.csv. copied: with the given studies and their labels. ValueError without an
    image that is labelled negative, or where output holds anything but painted films.
    """
    listing = siim.list_studies(DataSettings(source="siim", folder=str(studies), patients=str(studies)))
    given = _films(listing.records[listing.records["rle"].notna()])
    films = [film for film in given if film.code == rle.EMPTY]
    if not films:
        raise ValueError(
            f"{studies}: no image is labelled negative (-1), so that there is nothing to paint on"
        )
    with atomic_folder(output, NOTE) as part:
        (part / TRAIN_FOLDER).mkdir()
        made = _paint(part, films, number, seed, "air", workers)
        false = _paint(part, films, decoys, seed, None, workers)
        kept = given if copied else []
        for film in kept:
            shutil.copyfile(film.path, part / TRAIN_FOLDER / f"{film.image_id}.dcm")
        everything = [*[row.film for row in made + false], *kept]
        _table(
            part / "train-rle.csv",
            "ImageId,EncodedPixels",
            [f"{one.image_id},{one.code}" for one in everything],
        )
        _table(
            part / "patients.csv", "image_id,patient", [f"{one.image_id},{one.patient}" for one in everything]
        )
        _table(
            part / "painted.csv",
            "image_id,film,painted",
            [f"{row.film.image_id},{row.of},{row.kind}" for row in made + false],
        )
        write_text(part / NOTE, TEXT)
    return len(made), len(false)


def _films(records: pd.DataFrame) -> list[Film]:
    """The labelled images; one of no known patient is its own."""
    return [
        Film(name, path, name if pd.isna(patient) else str(patient), code)
        for name, path, patient, code in zip(
            *(records[key] for key in ("image_id", "path", "patient_id", "rle")), strict=True
        )
    ]


def _paint(
    part: Path, films: list[Film], number: int, seed: int, kind: Kind | None, workers: int | None
) -> list[_Row]:
    """Films in random turns until so many are painted. Each has random numbers of its own, whatever the number of workers."""
    rng = np.random.default_rng([seed, kind is None])
    turns = [rng.permutation(len(films)) for _ in range(-(-TRIES * number // len(films)))]
    order = np.concatenate([*turns, np.zeros(0, np.int64)])[: TRIES * number]
    jobs = [_Job(part, films[film], k, seed, kind) for k, film in enumerate(order)]
    rows: list[_Row] = []
    with tqdm(total=number, desc="decoys" if kind is None else "painting", unit="film", disable=None) as bar:
        while jobs and len(rows) < number:
            now, jobs = jobs[: number - len(rows)], jobs[number - len(rows) :]
            for row in in_order(_one, now, workers):
                if row is not None:
                    rows.append(row)
                    bar.update()
    return rows


def _one(job: _Job) -> _Row | None:
    """Paint and save one film; None where it cannot be read or no lung is found."""
    rng = np.random.default_rng([job.seed, job.number, job.kind is None])
    kind: Kind = job.kind or DECOYS[int(rng.integers(len(DECOYS)))]
    try:
        given = read(job.film.path)
    except RefusedFile:
        return None
    found = painted(to_uint8(given.pixels), rng, kind)
    if found is None or (kind == "air" and not found.mask.any()):
        return None
    words = f"{job.film.image_id}/{job.seed}/{job.number}/{kind}"
    uid = str(generate_uid(entropy_srcs=["painted", hashlib.sha256(words.encode()).hexdigest()]))
    path = job.folder / TRAIN_FOLDER / f"{uid}.dcm"
    _save(path, uid, found.pixels, given.facts)
    return _Row(Film(uid, str(path), job.film.patient, rle.encode(found.mask)), job.film.image_id, kind)


def _save(path: Path, uid: str, pixels: NDArray[np.uint8], facts: Facts) -> None:
    """A derived Secondary Capture (PS3.3 A.8) without a patient: what was painted on is in painted.csv."""
    d = Dataset()
    d.SOPClassUID, d.SOPInstanceUID = SecondaryCaptureImageStorage, uid
    d.StudyInstanceUID, d.SeriesInstanceUID = (
        generate_uid(entropy_srcs=[word, uid]) for word in ("study", "series")
    )
    d.ImageType = ["DERIVED", "SECONDARY"]
    d.DerivationDescription = "Simulated pneumothorax or decoy painted on a radiograph"
    d.Modality, d.ConversionType, d.BodyPartExamined = "CR", "WSD", "CHEST"
    d.PatientName = d.PatientID = d.PatientBirthDate = d.StudyDate = d.StudyTime = ""
    d.AccessionNumber = d.ReferringPhysicianName = d.StudyID = d.PatientOrientation = ""
    d.SeriesNumber = d.InstanceNumber = "1"
    d.PatientSex, d.ViewPosition = facts.sex or "", facts.view or ""
    if facts.age is not None:
        d.PatientAge = f"{facts.age:03d}Y"
    if facts.spacing_mm is not None:
        d.PixelSpacing = [f"{one:.6g}" for one in facts.spacing_mm]
    d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
    d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 8, 8, 7, 0
    d.LossyImageCompression, d.LossyImageCompressionMethod = "01", "ISO_10918_1"
    d.QualityControlImage = "NO"
    d.Rows, d.Columns = pixels.shape
    d.PixelData = encapsulate([jpeg(pixels)])
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dcmwrite(path, d, enforce_file_format=True)


def _table(path: Path, head: str, rows: list[str]) -> None:
    write_text(path, "\n".join([head, *sorted(rows)]) + "\n")
