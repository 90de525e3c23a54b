"""A test set of shortcuts: the same phantoms with and without a chest tube, half of them with air beside the lung.

A chest tube is the treatment of a pneumothorax, so a network may learn to find tubes instead of air (Oakden-Rayner et al. 2020).
Each phantom comes twice, and only the tube differs, so any change between the two is due to the tube. Seed, number and difficulty
are fixed, so that results can be compared.
"""

from __future__ import annotations

from pathlib import Path

from imaging import rle
from imaging.io.files import write_text
from imaging.phantom.chest.render import render
from imaging.phantom.cohort import cases
from imaging.phantom.dataset import NOTE, TEXT, in_order, replaced
from imaging.phantom.dicom_writer import save
from imaging.settings import PhantomSettings

SETTINGS = PhantomSettings(train=120, test=1, prevalence=0.5, difficulty=0.0, least_area=6000, seed=20_617)
"""Plain findings, half of the images positive; the seed differs from every default."""
NAMES = {True: "tube", False: "bare"}


def write(folder: str | Path, settings: PhantomSettings = SETTINGS, workers: int | None = None) -> None:
    """Write two images of each labelled phantom in SIIM's form, with patients.csv and drains.csv (image id, 1 or 0)."""
    plan = [case for case in cases(settings, settings.seed) if case.split == "train" and case.labelled]
    with replaced(folder) as part:
        jobs = [(part, settings, case.index, tube) for case in plan for tube in (False, True)]
        codes = list(in_order(_one, jobs, workers))
        labels, owners, tubes = ["ImageId,EncodedPixels"], ["image_id,patient"], ["image_id,drain"]
        for (_, _, index, tube), found in zip(jobs, codes, strict=True):
            name = name_of(index, tube)
            labels += [f"{name},{code}" for code in found or [rle.EMPTY]]
            owners.append(f"{name},phantom-{cases(settings, settings.seed)[index].patient}")
            tubes.append(f"{name},{int(tube)}")
        for name, lines in {"train-rle": labels, "patients": owners, "drains": tubes}.items():
            write_text(part / f"{name}.csv", "\n".join(lines) + "\n")
        write_text(part / NOTE, TEXT)


def name_of(index: int, tube: bool) -> str:
    """The id of an image."""
    return f"drains-{index:04d}-{NAMES[tube]}"


def _one(job: tuple[Path, PhantomSettings, int, bool]) -> list[str]:
    """Render and save one image; return the codes of its masks."""
    part, settings, index, tube = job
    phantom = render(settings.seed, index, settings, tube=tube)
    save(part / "dicom-images-train" / f"{name_of(index, tube)}.dcm", phantom, settings.seed)
    return [rle.encode(mask) for mask in phantom.masks]
