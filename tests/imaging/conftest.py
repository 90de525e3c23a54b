"""Small folders in SIIM's form, written for a test, and the real sample where there is one."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from imaging import prepare, rle, split
from imaging.settings import DataSettings, SplitSettings


def picture(number: int) -> np.ndarray:
    """A smooth 64 x 64 picture."""
    small = np.random.default_rng(number).integers(30, 200, (12, 12), np.uint8)
    return cv2.resize(small, (64, 64), interpolation=cv2.INTER_CUBIC)


def square(positive: bool) -> str:
    """Runs of a 20 x 20 square in 64 x 64 pixels, or of nothing."""
    mask = np.zeros((64, 64), np.uint8)
    mask[:20, :20] = positive
    return rle.encode(mask)


@dataclass
class SiimFolder:
    """A folder that grows by `add` and is labelled by `write_labels`."""

    path: Path
    rows: list[tuple[str, str]] = field(default_factory=list)
    patients: list[tuple[str, str]] = field(default_factory=list)

    def add(
        self,
        image_id: str,
        code: str | list[str] | None = rle.EMPTY,
        *,
        pixels: np.ndarray | None = None,
        where: str = "dicom-images-train/study/series",
        patient: str | None = None,
        **header: Any,
    ) -> Path:
        """Write <where>/<image_id>.dcm and note its rows; code None = no row."""
        path = self.path / where / f"{image_id}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        seed = sum(map(ord, image_id))
        if pixels is None:
            pixels = np.random.default_rng(seed).integers(0, 256, (64, 64), np.uint8)
        write_dicom(path, image_id, pixels, **header)
        codes = [code] if isinstance(code, str) else code or []
        self.rows += [(image_id, one) for one in codes]
        if patient:
            self.patients.append((image_id, patient))
        return path

    def write_labels(self, name: str = "train-rle.csv", header: str = "ImageId, EncodedPixels") -> Path:
        lines = [header, *(f"{image_id}, {code}" for image_id, code in self.rows)]
        (self.path / name).write_text("\n".join(lines) + "\n")
        if self.patients:
            lines = ["image,name", *(f"{image_id},{patient}" for image_id, patient in self.patients)]
            (self.path / "patients.csv").write_text("\n".join(lines) + "\n")
        return self.path / name

    def settings(self, **changes: Any) -> DataSettings:
        return DataSettings(**{"source": "siim", "folder": str(self.path), "image_size": 32, **changes})


def write_dicom(path: Path, sop_uid: str, pixels: np.ndarray, **header: Any) -> None:
    """An uncompressed 8-bit grey DICOM file; header: further elements by keyword."""
    with config.disable_value_validation():  # ids such as `a` are no UIDs
        _write_dicom(path, sop_uid, pixels, header)


def _write_dicom(path: Path, sop_uid: str, pixels: np.ndarray, header: dict[str, Any]) -> None:
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    d.file_meta.MediaStorageSOPClassUID = d.SOPClassUID = SecondaryCaptureImageStorage
    d.file_meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID = sop_uid
    d.Rows, d.Columns = pixels.shape
    d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
    d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 8, 8, 7, 0
    d.PixelData = pixels.astype(np.uint8).tobytes()
    d["PixelData"].VR = "OB"
    for name, value in header.items():
        setattr(d, name, value)
    d.save_as(path, enforce_file_format=True)


@pytest.fixture
def siim(tmp_path: Path) -> SiimFolder:
    """An empty folder to be filled."""
    return SiimFolder(tmp_path / "siim")


@pytest.fixture(scope="session")
def prepared_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared and split folder, not to be changed: see `make_prepared`."""
    return make_prepared(tmp_path_factory.mktemp("prepared_once"))


def make_prepared(folder: Path) -> Path:
    """Twelve labelled images of 64 px, every second with a square of 20 px, and one unlabelled, prepared with 32 px."""
    source = SiimFolder(folder / "siim")
    for number in range(12):
        mask = np.zeros((64, 64), np.uint8)
        mask[:20, number : number + 20] = number % 2
        source.add(f"i{number:02}", rle.encode(mask), patient=f"p{number}")
    source.add("unlabelled", None)
    source.write_labels()
    prepare.run(source.settings(), folder / "prepared", folder / "reports")
    split.run(SplitSettings(folds=2), folder / "prepared", folder / "reports")
    return folder / "prepared"


@pytest.fixture(scope="session")
def real_siim() -> Path:
    """The real sample's folder, or a skip."""
    folder = os.environ.get("SIIM_SAMPLE_DIR")
    if not folder:
        pytest.skip("SIIM_SAMPLE_DIR does not name a folder with real SIIM-ACR files")
    return Path(folder)
