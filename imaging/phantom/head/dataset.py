"""Write a folder of head CT slices in the exact format of PhysioNet's ct-ich 1.0.0: names, images, masks, table.

Patients_CT/<patient>/brain/<n>.jpg            brain window, 512 x 512 px
Patients_CT/<patient>/brain/<n>_HGE_Seg.jpg    mask, where there is a haemorrhage: JPEG, so blurred at its edges
Patients_CT/<patient>/bone/<n>.jpg             bone window
hemorrhage_diagnosis.csv                       the kinds of haemorrhage on each slice
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from imaging.io.files import write_text
from imaging.phantom.dataset import NOTE, in_order, replaced
from imaging.phantom.head.haemorrhage import KINDS
from imaging.phantom.head.slices import Case, cases, render
from imaging.settings import PhantomSettings

FIRST_PATIENT = 49
"""ct-ich numbers its patients from 49."""
QUALITY = 95
TEXT = """Generated head CT phantoms in the form of PhysioNet's ct-ich 1.0.0. No patient is shown here.
Made by `python -m imaging.phantom` from the section `phantom` of params.yaml; see docs/phantom.md.
"""

Job = tuple[Path, PhantomSettings, int]


def write(folder: str | Path, settings: PhantomSettings, workers: int | None = None) -> None:
    """Write the whole data set to `folder`, which appears complete or not at all.

    ValueError if the folder holds anything but phantoms. `workers` defaults to the number of cores.
    """
    plan = cases(settings)
    with replaced(folder) as part:
        jobs = [(part, settings, index) for index in range(len(plan))]
        made = tqdm(in_order(_one, jobs, workers), "phantoms", len(jobs), disable=None, unit="slice")
        write_text(part / "hemorrhage_diagnosis.csv", diagnosis_table(plan, list(made)))
        write_text(part / NOTE, TEXT)


def _one(job: Job) -> tuple[str, ...]:
    """Render and save one slice; return the kinds of haemorrhage on it."""
    part, settings, index = job
    case, made = cases(settings)[index], render(settings, index)
    folder = part / "Patients_CT" / f"{case.patient + FIRST_PATIENT:03d}"
    _save(folder / "brain" / f"{case.number}.jpg", made.brain)
    _save(folder / "bone" / f"{case.number}.jpg", made.bone)
    if made.mask.any():
        _save(folder / "brain" / f"{case.number}_HGE_Seg.jpg", made.mask.astype(np.uint8) * np.uint8(255))
    return made.kinds


def _save(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())


def diagnosis_table(plan: tuple[Case, ...], found: list[tuple[str, ...]]) -> str:
    """hemorrhage_diagnosis.csv: one row per slice, 1 for each visible kind."""
    names = [kind.capitalize() for kind in KINDS]
    rows = [",".join(["PatientNumber", "SliceNumber", *names, "No_Hemorrhage", "Fracture_Yes_No"])]
    for case, kinds in zip(plan, found, strict=True):
        flags = [str(int(kind in kinds)) for kind in KINDS]
        rows.append(
            ",".join([str(case.patient + FIRST_PATIENT), str(case.number), *flags, str(int(not kinds)), "0"])
        )
    return "\n".join(rows) + "\n"
