"""One film: read, painted, and saved as a DICOM file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import JPEGBaseline8Bit, SecondaryCaptureImageStorage, generate_uid

from imaging.decoding.radiograph import Facts
from imaging.painting.air import Kind, paint
from imaging.painting.collapse import sample
from imaging.painting.lung_fields import lung_fields
from imaging.phantom.canvas import WORK
from imaging.phantom.dicom_writer import jpeg
from imaging.resize import resize_image


@dataclass(frozen=True)
class Painted:
    """A film with painted air, or a decoy (mask empty): pixels uint8 (H, W), mask uint8 0/1 (H, W)."""

    pixels: NDArray[np.uint8]
    mask: NDArray[np.uint8]


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


def save(path: Path, name: str, pixels: NDArray[np.uint8], facts: Facts) -> None:
    """A derived Secondary Capture (PS3.3 A.8) without a patient: painted.csv names the film painted on."""
    d = Dataset()
    d.SOPClassUID, d.SOPInstanceUID = (
        SecondaryCaptureImageStorage,
        generate_uid(entropy_srcs=["painted", name]),
    )
    d.StudyInstanceUID, d.SeriesInstanceUID = (
        generate_uid(entropy_srcs=[word, name]) for word in ("study", "series")
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
