"""Write painted films as a data set in SIIM-ACR's format, made from the negative images of another one in that format.

dicom-images-train/<id>.dcm    painted films and decoys at the films' own size; with `copied`, the given files beside them
train-rle.csv                  the painted air, `-1` for decoys (and the given labels)
patients.csv                   image id, patient of the film: a painted film is of the film's patient
painted.csv                    image id, film, what was painted
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from imaging import rle
from imaging.decoding.radiograph import RefusedFile, to_uint8
from imaging.formats.reader import read
from imaging.identity.films import film_of, painted_id
from imaging.io.files import atomic_folder, write_text
from imaging.io.tables import write_csv
from imaging.painting.air import DECOYS, Kind
from imaging.painting.film import painted, save
from imaging.phantom.dataset import in_order
from imaging.settings import DataSettings
from imaging.sources import siim
from imaging.sources.siim import TRAIN_FOLDER

NOTE = "PAINTED.txt"
"""A file that marks the folder as generated, so that it may be replaced."""
TEXT = """Radiographs on which a pneumothorax, or a decoy without one, was painted by `python -m imaging.painting`.
For training only; see docs/painting.md. Patients are those of the films: patients.csv.
"""
TRIES = 4
"""Attempts per painting."""
MOST = 20
"""Most paintings of one film."""


@dataclass(frozen=True)
class Film:
    """One labelled image."""

    image_id: str
    path: str
    patient: str
    code: str
    """Run-length code of its mask; `-1` for none."""


@dataclass(frozen=True)
class Painting:
    """A written picture, the id of the film that it was painted on, and what was painted."""

    film: Film
    of: str
    kind: Kind


@dataclass(frozen=True)
class _Job:
    folder: Path
    film: Film
    number: int
    seed: int
    kind: Kind | None
    """None: one of the decoys."""


@dataclass(frozen=True)
class Made:
    """How many films were painted and how many decoys, and why files could not be read."""

    painted: int
    decoys: int
    refused: list[str]


def write(
    studies: Path,
    output: Path,
    number: int,
    decoys: int,
    seed: int,
    copied: bool = False,
    workers: int | None = None,
) -> Made:
    """Write `number` painted films and `decoys`, or fewer where few lungs are found.

    studies: a folder in SIIM-ACR's format. copied: also write the given studies and their labels. ValueError when no image is
    labelled negative, when none could be painted, or when output holds anything but painted films.
    """
    listing = siim.list_studies(DataSettings(source="siim", folder=str(studies), patients=str(studies)))
    given = _films(listing.records[listing.records["rle"].notna()])
    films = [film for film in given if film.code == rle.EMPTY and film_of(film.image_id) == film.image_id]
    if not films:
        raise ValueError(f"{studies}: no image is labelled negative (-1), so there is nothing to paint on")
    for option, wanted in (("--number", number), ("--decoys", decoys)):
        if wanted > MOST * len(films):
            raise ValueError(
                f"{option} {wanted}: {len(films):,} negative films allow {MOST * len(films):,}, {MOST} of each; lower it"
            )
    with atomic_folder(output, NOTE) as part:
        (part / TRAIN_FOLDER).mkdir()
        refused: dict[str, None] = {}
        made = _paint(part, films, number, seed, "air", workers, refused)
        false = _paint(part, films, decoys, seed, None, workers, refused)
        if not made + false:
            why = f"; {len(refused)} could not be read, for example {next(iter(refused))}" if refused else ""
            raise ValueError(f"{studies}: no lung was found on any film{why}")
        _write_tables(part, made + false, given if copied else [])
    return Made(len(made), len(false), list(refused))


def _write_tables(part: Path, made: list[Painting], kept: list[Film]) -> None:
    """The tables of the paintings and of the studies that are kept beside them, and these studies' files."""
    for film in kept:
        shutil.copyfile(film.path, part / TRAIN_FOLDER / f"{film.image_id}.dcm")
    films = sorted([*[one.film for one in made], *kept], key=lambda film: film.image_id)
    labels = {"ImageId": [one.image_id for one in films], "EncodedPixels": [one.code for one in films]}
    owners = {"image_id": [one.image_id for one in films], "patient": [one.patient for one in films]}
    origin = sorted((one.film.image_id, one.of, one.kind) for one in made)
    write_csv(part / "train-rle.csv", pd.DataFrame(labels))
    write_csv(part / "patients.csv", pd.DataFrame(owners))
    write_csv(part / "painted.csv", pd.DataFrame(origin, columns=["image_id", "film", "painted"]))
    write_text(part / NOTE, TEXT)


def _films(records: pd.DataFrame) -> list[Film]:
    """The labelled images; one without a known patient counts as its own."""
    return [
        Film(name, path, name if pd.isna(patient) else str(patient), code)
        for name, path, patient, code in zip(
            *(records[key] for key in ("image_id", "path", "patient_id", "rle")), strict=True
        )
    ]


def _paint(
    part: Path,
    films: list[Film],
    number: int,
    seed: int,
    kind: Kind | None,
    workers: int | None,
    refused: dict[str, None],
) -> list[Painting]:
    """Paint films in random order until there are enough; the reasons of refused files go into `refused`.

    Each painting has its own random numbers, so that the number of workers changes nothing."""
    rng = np.random.default_rng([seed, kind is None])
    turns = [rng.permutation(len(films)) for _ in range(-(-TRIES * number // len(films)))]
    order = np.concatenate([*turns, np.zeros(0, np.int64)])[: TRIES * number]
    jobs = [_Job(part, films[film], k, seed, kind) for k, film in enumerate(order)]
    made: list[Painting] = []
    with tqdm(total=number, desc="decoys" if kind is None else "painting", unit="film", disable=None) as bar:
        while jobs and len(made) < number:
            now, jobs = jobs[: number - len(made)], jobs[number - len(made) :]
            for found in in_order(_one, now, workers):
                if isinstance(found, Painting):
                    made.append(found)
                    bar.update()
                elif found is not None:
                    refused[found] = None
    return made


def _one(job: _Job) -> Painting | str | None:
    """Paint and save one film; None where no lung is found, the reason where it cannot be read."""
    rng = np.random.default_rng([job.seed, job.number, job.kind is None])
    kind: Kind = job.kind or DECOYS[int(rng.integers(len(DECOYS)))]
    try:
        given = read(job.film.path)
    except RefusedFile as error:
        return str(error)
    found = painted(to_uint8(given.pixels), rng, kind)
    if found is None or (kind == "air" and not found.mask.any()):
        return None
    name = painted_id(job.film.image_id, job.number, kind != "air")
    path = job.folder / TRAIN_FOLDER / f"{name}.dcm"
    save(path, name, found.pixels, given.facts)
    return Painting(Film(name, str(path), job.film.patient, rle.encode(found.mask)), job.film.image_id, kind)
