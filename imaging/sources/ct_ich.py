"""Head CT with intracranial haemorrhage in the form of PhysioNet's ct-ich, as pictures (1.0.0, Kaggle) or volumes (1.3.1).

    Patients_CT/<patient>/brain/<n>.jpg   <n>_HGE_Seg.jpg       slices and masks; a slice without a mask is negative
    Patients_CT/<patient>/bone/<n>.jpg                          not read
    hemorrhage_diagnosis.csv                                    PatientNumber, SliceNumber, No_Hemorrhage (optional)
    ct_scans/<patient>.nii[.gz]   masks/<patient>.nii[.gz]      volumes in Hounsfield units

Slices may be JPEG, PNG or DICOM; DICOM and volumes are seen in the brain window (imaging.dicom.windowing.BRAIN). Patients are the
folders or volumes, so that slices of one patient never stand on two sides of a split. There is no test set.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imaging import rle
from imaging.decoding.radiograph import RefusedFile
from imaging.formats import nifti
from imaging.io.tables import column, read_csv
from imaging.settings import DataSettings
from imaging.sources.discovery import existing, only_inner, pictures
from imaging.sources.listing import Listing, refusals, table

SLICES, SCANS, MASKS, WINDOW = "Patients_CT", "ct_scans", "masks", "brain"
MASK_ENDING = "_HGE_Seg"
TABLES = ("hemorrhage_diagnosis.csv", "hemorrhage_diagnosis_raw_ct.csv")

Records = list[dict[str, Any]]


def is_one(folder: str | Path) -> bool:
    """Say whether a folder has this form."""
    return any((Path(folder) / name).is_dir() for name in (SLICES, SCANS))


def list_studies(settings: DataSettings) -> Listing:
    """List the slices with their masks and patients; ValueError when there are none."""
    given = existing(settings)
    root = next((folder for folder in (given, only_inner(given)) if folder and is_one(folder)), None)
    if root is None:
        raise ValueError(f"{given}: holds neither {SLICES} (slices by patient) nor {SCANS} (volumes)")
    notes: list[str] = []
    rejected: list[tuple[str, str]] = []
    read = _slices if (root / SLICES).is_dir() else _volumes
    records = read(root, rejected, notes)
    if not records:
        raise ValueError(f"{root}: no slice was found that can be used for training")
    _label(records, root)
    patients = len({record["patient_id"] for record in records})
    without = sum(record["rle"] == rle.EMPTY for record in records)
    notes.insert(
        0, f"{len(records):,} slices of {patients:,} patients; {without:,} have no mask and are negative."
    )
    return Listing(table(records), refusals(rejected), notes, "the folders", True, "haemorrhage")


def _slices(root: Path, rejected: list[tuple[str, str]], notes: list[str]) -> Records:
    """Slices as pictures or DICOM: `<patient>_<n>` is the id, as in mmsegmentation's copy."""
    records: Records = []
    for folder in sorted(path for path in (root / SLICES).iterdir() if path.is_dir()):
        brain = folder / WINDOW if (folder / WINDOW).is_dir() else folder
        files = {path.stem: path for path in pictures(brain, notes)}
        masks = {name: path for name, path in files.items() if name.endswith(MASK_ENDING)}
        for name, path in files.items():
            if name not in masks:
                mask = masks.get(name + MASK_ENDING)
                records.append(_record(f"{folder.name}_{name}", path, folder.name, mask))
        orphans = (path for name, path in masks.items() if name.removesuffix(MASK_ENDING) not in files)
        rejected += [(str(path), "a mask without its slice") for path in orphans]
    return records


def _volumes(root: Path, rejected: list[tuple[str, str]], notes: list[str]) -> Records:
    """Slices of volumes, numbered from the lowest; those of a volume without a mask file are unlabelled."""
    records: Records = []
    masks = {_stem(path): path for path in _nifti(root / MASKS)}
    for path in _nifti(root / SCANS):
        patient = _stem(path)
        mask = masks.pop(patient, None)
        try:
            names = nifti.slices(path)
            drawn = nifti.slices(mask) if mask else [None] * len(names)
            if len(drawn) != len(names):
                raise RefusedFile("NIFTI-MASK", f"{len(names)} slices, but its mask {mask} has {len(drawn)}")
        except RefusedFile as refusal:
            rejected.append((str(path), refusal.reason))
            continue
        records += [
            _record(f"{patient}_{number}", image, patient, covered)
            for number, (image, covered) in enumerate(zip(names, drawn, strict=True), start=1)
        ]
        if mask is None:
            notes.append(f"{path.name} has no mask file; its {len(names)} slices are unlabelled.")
            records[-len(names) :] = [{**record, "rle": None} for record in records[-len(names) :]]
    rejected += [(str(path), "a mask without its volume") for path in masks.values()]
    return records


def _nifti(folder: Path) -> list[Path]:
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in found if path.name.endswith(nifti.SUFFIXES) and not path.name.startswith(".")]


def _stem(path: Path) -> str:
    return path.name.split(".nii")[0]


def _record(image_id: str, path: Path | str, patient: str, mask: Path | str | None) -> dict[str, Any]:
    return {
        "image_id": image_id,
        "path": str(path),
        "split": "train",
        "patient_id": patient,
        "mask": str(mask) if mask else None,
        "rle": None if mask else rle.EMPTY,
        "label": None,
    }


def _label(records: Records, root: Path) -> None:
    """Add what the radiologists' table says of each slice; its numbers have no leading zeros, the folders' have."""
    path = next((root / name for name in TABLES if (root / name).is_file()), None)
    if path is None:
        return
    content = read_csv(path)
    said = {
        f"{patient.lstrip('0')}_{number.lstrip('0')}": {"0": 1, "1": 0}.get(negative)
        for patient, number, negative in zip(
            *(column(content, name, path) for name in ("PatientNumber", "SliceNumber", "No_Hemorrhage")),
            strict=True,
        )
    }
    for record in records:
        patient, _, number = record["image_id"].rpartition("_")
        record["label"] = said.get(f"{patient.lstrip('0')}_{number.lstrip('0')}")
