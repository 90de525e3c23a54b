"""Generated studies for the DICOM objects, and the check of dciodvfy."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import config, uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite

from imaging.decoding.radiograph import to_uint8
from imaging.dicom_objects import (
    all_kinds,
    reference,
)
from imaging.dicom_objects.reference import Author
from imaging.dicom_objects.report import Prediction
from imaging.formats import reader

AUTHOR = Author("pneumothorax-phantom-1a2b3c4d", "f" * 64)

SHAPE = (96, 70)

NOTE = "0.97 probability"

ALL = ("seg", "gsps", "sc", "sr")

PREDICTION = Prediction(prob=0.9712, area_px=1234, area_mm2=24.68, side="left")

SIIM: dict[str, Any] = {
    "SOPClassUID": uid.SecondaryCaptureImageStorage, "Modality": "CR", "ConversionType": "WSD", "PatientAge": "29",
    "PatientName": "17d405a3-a0d2", "PatientID": "17d405a3-a0d2", "PatientSex": "F", "PatientBirthDate": "",
    "StudyDate": "19010101", "StudyTime": "000000.00", "AccessionNumber": "", "ReferringPhysicianName": "", "StudyID": "",
    "BodyPartExamined": "CHEST",
    "PixelSpacing": [0.2, 0.1], "LossyImageCompression": "01", "LossyImageCompressionMethod": "ISO_10918_1", "bits": 8,
}  # fmt: skip

DX: dict[str, Any] = {
    "SOPClassUID": uid.DigitalXRayImageStorageForPresentation, "Modality": "DX", "PatientName": "Doe^Jane", "PatientID": "7",
    "PatientOrientation": ["L", "F"], "ImagerPixelSpacing": [0.1, 0.1], "WindowCenter": 2000, "WindowWidth": 3000,
    "PresentationLUTShape": "IDENTITY", "RescaleIntercept": 0, "RescaleSlope": 1, "PatientIdentityRemoved": "YES",
    "DeidentificationMethod": "by hand", "bits": 12,
}  # fmt: skip

CR: dict[str, Any] = {
    "SOPClassUID": uid.ComputedRadiographyImageStorage, "Modality": "CR", "PhotometricInterpretation": "MONOCHROME1",
    "PatientSex": "x", "PatientAge": "???", "StudyDate": "yesterday", "NumberOfFrames": 1, "WindowCenter": [500, 600],
    "WindowWidth": [900, 1000], "InstitutionName": "Hospital", "OperatorsName": "Somebody", "bits": 10,
    "syntax": uid.ImplicitVRLittleEndian,
}  # fmt: skip

KINDS = {"siim": SIIM, "dx": DX, "cr": CR}


def write(path: Path, elements: dict[str, Any]) -> Path:
    """A study of SHAPE with these elements."""
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = elements.get("syntax", uid.ExplicitVRLittleEndian)
    d.StudyInstanceUID, d.SeriesInstanceUID, d.SOPInstanceUID = (uid.generate_uid() for _ in range(3))
    d.Rows, d.Columns = SHAPE
    d.SamplesPerPixel, d.PhotometricInterpretation, d.PixelRepresentation = 1, "MONOCHROME2", 0
    bits = elements["bits"]
    d.BitsAllocated, d.BitsStored, d.HighBit = (8 if bits == 8 else 16), bits, bits - 1
    pixels = np.random.default_rng(0).integers(0, 2**bits, SHAPE)
    d.PixelData = pixels.astype("u1" if bits == 8 else "<u2").tobytes()
    d["PixelData"].VR = "OB" if bits == 8 else "OW"
    d.private_block(0x0021, "A MAKER", create=True).add_new(1, "LO", "private")
    with config.disable_value_validation():
        for name, value in elements.items():
            if name not in ("bits", "syntax"):
                setattr(d, name, value)
        d.file_meta.MediaStorageSOPClassUID, d.file_meta.MediaStorageSOPInstanceUID = (
            d.SOPClassUID,
            d.SOPInstanceUID,
        )
        dcmwrite(path, d, enforce_file_format=True)
    return path


def lesion(shape: tuple[int, int]) -> np.ndarray:
    """A part with a hole, and single pixels in two corners: where a shift or a turn would show."""
    mask = np.zeros(shape, bool)
    mask[shape[0] // 8 : shape[0] // 2, shape[1] // 5 : shape[1] // 2] = True
    mask[shape[0] // 4 : shape[0] // 3, shape[1] // 4 : shape[1] // 3] = False
    mask[0, 0] = mask[-1, -1] = True
    return mask


def make_all(path: Path, mask: np.ndarray, folder: Path) -> dict[str, Path]:
    """All objects of a study, written."""
    study, grey = reference.read(path), to_uint8(reader.read(path).pixels)
    made = all_kinds.make(ALL, study, mask, grey, PREDICTION, AUTHOR, NOTE)
    assert made.failed == {}
    for kind, dataset in made.objects.items():
        dataset.save_as(folder / f"{kind}.dcm")
    return {kind: folder / f"{kind}.dcm" for kind in made.objects}


def errors(path: Path) -> list[str]:
    """What dciodvfy finds wrong."""
    done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]


needs_dciodvfy = pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy is not installed (Debian: dicom3tools)"
)
