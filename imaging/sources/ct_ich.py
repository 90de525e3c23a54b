"""Source `ct_ich`: head CT with intracranial haemorrhage as PhysioNet's ct-ich, pictures (1.0.0, Kaggle) or volumes (1.3.1).

    Patients_CT/<patient>/brain/<n>.jpg   <n>_HGE_Seg.jpg       slices and masks; a slice without a mask is negative
    Patients_CT/<patient>/bone/<n>.jpg                          not read
    hemorrhage_diagnosis.csv                                    PatientNumber, SliceNumber, No_Hemorrhage (optional)
    ct_scans/<patient>.nii[.gz]   masks/<patient>.nii[.gz]      volumes in Hounsfield units

Slices may be JPEG, PNG or DICOM; DICOM and volumes are read in the brain window (imaging.dicom.windowing.BRAIN). Patients are the
folders or volumes, so that slices of one patient are never on two sides of a split. There is no test set.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imaging import rle
from imaging.decoding.radiograph import RefusedFile
from imaging.formats import nifti
from imaging.io.tables import column, read_csv
from imaging.settings import DataSettings
from imaging.sources.discovery import LeftOut, existing, files_below, only_inner, pictures
from imaging.sources.listing import Listing, refusals, skipped_note, table

SLICES, SCANS, MASKS, WINDOW = "Patients_CT", "ct_scans", "masks", "brain"
MASK_ENDING = "_hge_seg"
"""In lower case."""
TABLES = ("hemorrhage_diagnosis.csv", "hemorrhage_diagnosis_raw_ct.csv")

Records = list[dict[str, Any]]


def is_one(folder: str | Path) -> bool:
    """Say whether a folder has this layout."""
    return any((Path(folder) / name).is_dir() for name in (SLICES, SCANS))


def list_studies(settings: DataSettings) -> Listing:
    """List the slices with their masks and patients; ValueError when there are none."""
    given = existing(settings)
    root = next((folder for folder in (given, only_inner(given)) if folder and is_one(folder)), None)
    if root is None:
        raise ValueError(f"{given}: holds neither {SLICES} (slices by patient) nor {SCANS} (volumes)")
    left = _Left()
    read = _slices if (root / SLICES).is_dir() else _volumes
    records = read(root, left)
    if not records:
        first = "".join(
            f". The first of {len(left.rejected):,} refusals: {path}: {why}"
            for path, why in left.rejected[:1]
        )
        raise ValueError(f"{root}: no slice was found that can be used for training{first}")
    _label(records, root)
    patients = len({record["patient_id"] for record in records})
    without = sum(record["rle"] == rle.EMPTY for record in records)
    notes = [
        f"{len(records):,} slices of {patients:,} patients; {without:,} have no mask and are negative.",
        *left.notes,
        *skipped_note(left.skipped),
    ]
    return Listing(
        records=table(records),
        rejected=refusals(left.rejected),
        skipped=refusals(left.skipped),
        notes=notes,
        patients="the folders",
        certain=True,
        finding="haemorrhage",
    )


@dataclass
class _Left:
    """What a source leaves out, and notes for the dataset card."""

    rejected: LeftOut = field(default_factory=list)
    skipped: LeftOut = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def _slices(root: Path, left: _Left) -> Records:
    """Slices as pictures or DICOM: `<patient>_<n>` is the id, as in mmsegmentation's copy."""
    records: Records = []
    for folder in sorted(path for path in (root / SLICES).iterdir() if path.is_dir()):
        brain = folder / WINDOW if (folder / WINDOW).is_dir() else folder
        images, masks = _named(pictures(brain, left.skipped), left)
        records += [
            _record(f"{folder.name}_{name}", path, folder.name, masks.pop(name.lower(), None))
            for name, path in images.items()
        ]
        left.rejected += [(str(path), "a mask without a slice") for path in masks.values()]
    return records


def _named(paths: list[Path], left: _Left) -> tuple[dict[str, Path], dict[str, Path]]:
    """Slices by name, and masks by their slice's name in lower case; `_HGE_Seg` in any case marks a mask."""
    images: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    for path in paths:
        name = path.stem
        of_slice = name.lower().removesuffix(MASK_ENDING)
        if of_slice != name.lower():
            group, name = masks, of_slice
        elif any(word in of_slice for word in ("seg", "mask")):
            left.rejected.append((str(path), "named like a mask, but not <slice>_HGE_Seg"))
            continue
        else:
            group = images
        if group.setdefault(name, path) is not path:
            left.rejected.append((str(path), f"a second file of the same slice; kept: {group[name].name}"))
    return images, masks


def _volumes(root: Path, left: _Left) -> Records:
    """Slices of volumes, numbered from the lowest; those of a volume without a mask file are unlabelled."""
    records: Records = []
    masks = {_stem(path): path for path in _nifti(root / MASKS, left)}
    for path in _nifti(root / SCANS, left):
        mask = masks.pop(_stem(path), None)
        if mask and (why := _contradiction(path, mask)):
            left.rejected.append((str(mask), why))
            mask = None
        try:
            records += _of_volume(path, mask)
        except RefusedFile as refusal:
            left.rejected.append((str(path), refusal.message))
            continue
        if mask is None:
            left.notes.append(f"{path.name} has no matching mask; its slices are unlabelled.")
    left.rejected += [(str(path), "a mask without a volume") for path in masks.values()]
    return records


def _contradiction(path: Path, mask: Path) -> str:
    """Why a mask does not match its scan, by their affines; '' where it does or either cannot be read."""
    try:
        nifti.check_match(path, mask)
    except RefusedFile as refusal:
        return refusal.message if refusal.code == "NIFTI-GRID" else ""
    return ""


def _of_volume(path: Path, mask: Path | None) -> Records:
    patient, names = _stem(path), nifti.slices(path)
    if mask is None:
        return [
            {**_record(f"{patient}_{number}", name, patient, None), "rle": None}
            for number, name in enumerate(names, start=1)
        ]
    nifti.check_match(path, mask)
    return [
        _record(f"{patient}_{number}", image, patient, covered)
        for number, (image, covered) in enumerate(zip(names, nifti.slices(mask), strict=True), start=1)
    ]


def _nifti(folder: Path, left: _Left) -> list[Path]:
    found = [Path(path) for path in files_below(folder, left.skipped)]
    left.skipped += [
        (str(path), "not a NIfTI file") for path in found if not path.name.endswith(nifti.SUFFIXES)
    ]
    return [path for path in found if path.name.endswith(nifti.SUFFIXES)]


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
    """Add each slice's label from the radiologists' table; its numbers have no leading zeros, the folders' names do."""
    path = next((root / name for name in TABLES if (root / name).is_file()), None)
    if path is None:
        return
    content = read_csv(path)
    labels = {
        f"{patient.lstrip('0')}_{number.lstrip('0')}": {"0": 1, "1": 0}.get(negative)
        for patient, number, negative in zip(
            *(column(content, name, path) for name in ("PatientNumber", "SliceNumber", "No_Hemorrhage")),
            strict=True,
        )
    }
    for record in records:
        patient, _, number = record["image_id"].rpartition("_")
        record["label"] = labels.get(f"{patient.lstrip('0')}_{number.lstrip('0')}")
