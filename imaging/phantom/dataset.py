"""Write a folder of phantoms in SIIM-ACR's exact format: files, names, labels, patients, and irregularities.

dicom-images-train/<study uid>/<series uid>/<sop uid>.dcm
dicom-images-test/ID_xxxxxxxxx.dcm      flat, irregular headers
train-rle.csv                           space in the header, several rows for some images, some overlapping
patients.csv                            image id, and a file name whose first eight digits are the patient
sample_submission.csv                   every test image as negative
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from tqdm import tqdm

from imaging import rle
from imaging.io.files import atomic_folder, write_text
from imaging.phantom.chest.render import render
from imaging.phantom.cohort import Case, cases
from imaging.phantom.dicom_writer import image_id, location, save
from imaging.settings import PhantomSettings

Job = TypeVar("Job")
Made = TypeVar("Made")
NOTE = "README.txt"
"""A file that marks the folder as generated, so that it may be replaced."""
GENERATED = ("Generated ", "No phantoms")
"""How its text begins: any data set may have a README.txt."""

TEXT = """Generated chest phantoms in the form of the SIIM-ACR Pneumothorax data. No patient is shown here.
Made by `python -m imaging.phantom` from the section `phantom` of params.yaml; see docs/phantom.md.
"""


def write(folder: str | Path, settings: PhantomSettings, workers: int | None = None) -> None:
    """Write the whole data set to `folder`, which appears complete or not at all.

    ValueError if the folder holds anything but phantoms. `workers` defaults to the number of cores.
    """
    plan = cases(settings, settings.seed)
    with replaced(folder) as part:
        codes = _render_all(part, settings, plan, workers)
        write_text(part / "train-rle.csv", label_table(plan, codes, settings.seed))
        write_text(part / "patients.csv", patient_table(plan, settings.seed))
        write_text(part / "sample_submission.csv", submission_table(plan, settings.seed))
        write_text(part / NOTE, TEXT)


@contextmanager
def replaced(folder: str | Path) -> Iterator[Path]:
    """An empty folder that takes the name `folder`; ValueError where that holds anything but phantoms."""
    note = Path(folder) / NOTE
    ours = note.is_file() and note.read_text(encoding="utf-8", errors="replace").startswith(GENERATED)
    with atomic_folder(folder, NOTE if ours else None) as part:
        yield part


def _render_all(
    part: Path, settings: PhantomSettings, plan: tuple[Case, ...], workers: int | None
) -> list[list[str]]:
    jobs = [(part, settings, index) for index in range(len(plan))]
    made = in_order(_one, jobs, workers)
    return list(tqdm(made, total=len(jobs), desc="phantoms", unit="image", disable=None))


def in_order(make: Callable[[Job], Made], jobs: list[Job], workers: int | None) -> Iterator[Made]:
    """Results of `make` for each job, in order, from `workers` processes (default: one per core)."""
    workers = workers or len(os.sched_getaffinity(0))
    if workers == 1:
        yield from map(make, jobs)
        return
    fresh = multiprocessing.get_context("spawn")  # a fork would inherit OpenCV's locked thread pool and hang
    with ProcessPoolExecutor(workers, fresh, _single_thread) as pool:
        yield from pool.map(make, jobs, chunksize=8)


def _single_thread() -> None:
    cv2.setNumThreads(1)


def _one(job: tuple[Path, PhantomSettings, int]) -> list[str]:
    """Render and save one image; return the codes of its masks."""
    part, settings, index = job
    phantom = render(settings.seed, index, settings)
    save(part / location(settings.seed, index, phantom.facts.case.split), phantom, settings.seed)
    return [rle.encode(mask) for mask in phantom.masks]


def label_table(plan: tuple[Case, ...], codes: list[list[str]], seed: int) -> str:
    """train-rle.csv: one row per mask, ` -1` for a negative, the rows of one image scattered; spaces as in the original."""
    rows = [
        f"{image_id(seed, case.index, case.split)}, {code}"
        for case, found in zip(plan, codes, strict=True)
        if case.split == "train" and case.labelled
        for code in (found or [rle.EMPTY])
    ]
    order = np.random.Generator(np.random.PCG64([seed, 404])).permutation(len(rows))
    return "\n".join(["ImageId, EncodedPixels", *(rows[i] for i in order)]) + "\n"


def patient_table(plan: tuple[Case, ...], seed: int) -> str:
    """patients.csv: image id and `<patient>_<number of the image>.png` for the labelled images."""
    train = [case for case in plan if case.split == "train" and case.labelled]
    numbers = {
        patient: number for number, patient in enumerate(sorted({case.patient for case in train}), start=1)
    }
    rows = [f"{image_id(seed, c.index, c.split)},{numbers[c.patient]:08d}_{c.visit:03d}.png" for c in train]
    return "\n".join(["Kaggle_ID,NIH_ID", *rows]) + "\n"


def submission_table(plan: tuple[Case, ...], seed: int) -> str:
    """sample_submission.csv: all test images, without masks."""
    ids = sorted(image_id(seed, case.index, "test") for case in plan if case.split == "test")
    return "\n".join(["ImageId,EncodedPixels", *(f"{name},{rle.EMPTY}" for name in ids)]) + "\n"
