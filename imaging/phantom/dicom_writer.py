"""Write DICOM files with the header fields and the irregularities of SIIM-ACR's.

Training files have full UIDs and a patient id that differs in every file, so it groups nothing. Test files have blank study,
series and patient ids and an invalid SOPInstanceUID `ID_xxxxxxxxx`. QualityControlImage (0028,0300), DICOM's flag for phantoms,
is YES.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, JPEGBaseline8Bit, SecondaryCaptureImageStorage, generate_uid

from imaging.phantom.chest.render import Facts, Phantom

JPEG_QUALITY = 92
"""Its quantisation table (2 or 3 in the low frequencies, 16 in the high ones) is close to the real files'."""


def uid(seed: int, index: int, part: str) -> str:
    """A UID that depends on seed, index and part only."""
    return str(generate_uid(entropy_srcs=["phantom", str(seed), str(index), part]))


def digest(seed: int, index: int, part: str) -> str:
    """Forty hex digits that depend on seed, index and part only."""
    return hashlib.sha256(f"{part}/{seed}/{index}".encode()).hexdigest()[:40]


def image_id(seed: int, index: int, split: str) -> str:
    """The id of an image: its SOPInstanceUID in training, `ID_` and nine hex digits in test."""
    return uid(seed, index, "sop") if split == "train" else f"ID_{digest(seed, index, 'test')[:9]}"


def location(seed: int, index: int, split: str) -> Path:
    """Path of the file inside the data folder."""
    name = f"{image_id(seed, index, split)}.dcm"
    if split == "test":
        return Path("dicom-images-test") / name
    return Path("dicom-images-train") / uid(seed, index, "study") / uid(seed, index, "series") / name


def save(path: Path, phantom: Phantom, seed: int) -> None:
    """Write one phantom as a JPEG baseline DICOM file."""
    facts = phantom.facts
    dataset = header(facts, seed)
    dataset.Rows, dataset.Columns = phantom.pixels.shape
    dataset.PixelData = encapsulate([jpeg(phantom.pixels)])
    path.parent.mkdir(parents=True, exist_ok=True)
    with config.disable_value_validation():  # the irregularities are intended
        dcmwrite(path, dataset)


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """Compress (H, W) uint8 as baseline JPEG, grey."""
    _, buffer = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return buffer.tobytes()


def header(facts: Facts, seed: int) -> Dataset:
    """Everything but the pixels."""
    index, split = facts.case.index, facts.case.split
    train = split == "train"
    patient = _uuid(digest(seed, index, "patient")) if train else ""
    d = Dataset()
    d.SpecificCharacterSet = "ISO_IR 100"
    d.SOPClassUID = SecondaryCaptureImageStorage
    d[0x00080018] = _unchecked(0x00080018, "UI", image_id(seed, index, split))
    d.StudyDate, d.StudyTime, d.AccessionNumber = "19010101", "000000.00", ""
    d.Modality, d.ConversionType, d.ReferringPhysicianName = "CR", "WSD", ""
    d.SeriesDescription = f"view: {facts.pose.view}"
    d.PatientName = d.PatientID = patient
    d.PatientBirthDate, d.PatientSex = "", facts.build.sex
    d[0x00101010] = _unchecked(0x00101010, "AS", str(facts.build.age))
    d.BodyPartExamined, d.ViewPosition = "CHEST", facts.pose.view
    d.StudyInstanceUID = uid(seed, index, "study") if train else ""
    d.SeriesInstanceUID = uid(seed, index, "series") if train else ""
    d.StudyID, d.SeriesNumber, d.InstanceNumber, d.PatientOrientation = "", "1", "1", ""
    d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
    d.PixelSpacing = [facts.spacing_mm, facts.spacing_mm]
    d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 8, 8, 7, 0
    d.QualityControlImage = "YES"
    d.LossyImageCompression, d.LossyImageCompressionMethod = "01", "ISO_10918_1"
    d.preamble = b"\0" * 128
    d.file_meta = _meta(uid(seed, index, "sop"))
    return d


def _unchecked(tag: int, representation: str, value: str) -> DataElement:
    """A value that the standard forbids and the real files contain: `ID_…` as a UID, `45` as an age."""
    return DataElement(tag, representation, value, validation_mode=config.IGNORE)


def _meta(sop: str) -> FileMetaDataset:
    """The file meta information, written as given: pydicom would put the invalid SOPInstanceUID and its own version here."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = UID(sop)
    meta.TransferSyntaxUID = JPEGBaseline8Bit
    meta.ImplementationClassUID = UID(uid(0, 0, "implementation"))
    meta.ImplementationVersionName = "PHANTOM_1"
    return meta


def _uuid(digits: str) -> str:
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))
