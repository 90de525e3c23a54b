"""Reading 1024 x 1024 JPEG DICOM files in one thread: ours, pydicom with two of its plugins, bare OpenCV.

`python benchmarks/decode.py` generates its files; `--folder` takes real ones. What is timed ends with grey pixels as
uint8, from a warm file cache. Bare OpenCV decodes frames that were found beforehand: the floor.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from pydicom import dcmread, uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import pixel_array

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import timing
from benchmarks.timing import Row, against
from imaging import dicom
from imaging.dicom import parser as dicom_file
from imaging.dicom import pixels

SIDE = 1024
REDUCED = 512
PYLIBJPEG, PILLOW, OURS = "pydicom + pylibjpeg", "pydicom + Pillow", "imaging.dicom.read"


def generate(folder: Path, count: int) -> list[Path]:
    """Write files with the header, the size and the noise of SIIM's: about 120 KB each."""
    rng = np.random.default_rng(0)
    paths = []
    for number in range(count):
        smooth = cv2.GaussianBlur(rng.normal(0, 1, (SIDE, SIDE)).astype(np.float32), (0, 0), 40)
        picture = cv2.normalize(smooth, None, 10, 240, cv2.NORM_MINMAX) + rng.normal(0, 2.5, (SIDE, SIDE))
        frame = cv2.imencode(".jpg", picture.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 88])[1]
        paths.append(_write(folder / f"{number}.dcm", frame.tobytes()))
    return paths


def _write(path: Path, frame: bytes) -> Path:
    content = Dataset()
    content.SOPClassUID, content.SOPInstanceUID = uid.SecondaryCaptureImageStorage, uid.generate_uid()
    content.StudyInstanceUID, content.SeriesInstanceUID = uid.generate_uid(), uid.generate_uid()
    content.StudyDate, content.Modality, content.BodyPartExamined, content.ViewPosition = (
        "19010101",
        "CR",
        "CHEST",
        "PA",
    )
    content.PatientName, content.PatientID, content.PatientSex, content.PatientAge = (
        "none",
        "none",
        "F",
        "050Y",
    )
    content.SamplesPerPixel, content.PhotometricInterpretation = 1, "MONOCHROME2"
    content.Rows = content.Columns = SIDE
    content.BitsAllocated, content.BitsStored, content.HighBit, content.PixelRepresentation = 8, 8, 7, 0
    content.PixelSpacing = [0.143, 0.143]
    content.PixelData = encapsulate([frame])
    content["PixelData"].is_undefined_length = True
    content.file_meta = FileMetaDataset()
    content.file_meta.TransferSyntaxUID = uid.JPEGBaseline8Bit
    content.save_as(path, enforce_file_format=True)
    return path


def frame_of(path: Path) -> np.ndarray:
    """Find the JPEG within a file."""
    _, element = dicom_file.parse(path.read_bytes())
    return np.frombuffer(pixels.encoded(element), np.uint8)


def timed(paths: list[Path], rounds: int) -> dict[str, float]:
    """Seconds per file for each way, on one thread."""
    cv2.setNumThreads(1)
    frames = [frame_of(path) for path in paths]
    cases: dict[str, timing.Case] = {
        PYLIBJPEG: (lambda path: pixel_array(dcmread(path), decoding_plugin="pylibjpeg"), paths),
        PILLOW: (lambda path: pixel_array(dcmread(path), decoding_plugin="pillow"), paths),
        OURS: (lambda path: dicom.read(path).pixels, paths),
        f"reduced to {REDUCED}": (lambda path: dicom.read(path, REDUCED).pixels, paths),
        f"reduced to {REDUCED // 2}": (lambda path: dicom.read(path, REDUCED // 2).pixels, paths),
        "bare cv2.imdecode": (lambda frame: cv2.imdecode(frame, cv2.IMREAD_GRAYSCALE), frames),
    }
    return timing.medians(cases, rounds)


def rows() -> list[Row]:
    """For `benchmarks.suite`."""
    with tempfile.TemporaryDirectory() as folder:
        seconds = timed(generate(Path(folder), 24), rounds=7)
    floor = seconds["bare cv2.imdecode"] / seconds[OURS]
    note = f"{1 / seconds[OURS]:.0f} files a second, {floor:.0%} of the bare JPEG decoder's rate"
    return [
        *against("DICOM decode, one thread", seconds, OURS, {PYLIBJPEG: 5, PILLOW: 1.4}, note),
        *against(
            f"the same to {REDUCED}², as prepare reads", seconds, f"reduced to {REDUCED}",
            {PYLIBJPEG: None, PILLOW: None},
        ),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="folder of DICOM files to read, at any depth")
    parser.add_argument("--files", type=int, default=24, help="maximum number of files")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.folder:
            paths = sorted(options.folder.rglob("*.dcm"))[: options.files]
        else:
            paths = generate(Path(folder), options.files)
        if not paths:
            parser.error(f"no .dcm file in {options.folder}")
        medians = timed(paths, options.rounds)
        size = np.median([path.stat().st_size for path in paths])
    print(timing.machine())
    print(
        f"{len(paths)} files, median {size / 1e3:.0f} KB, {options.rounds} rounds, one thread; x of pylibjpeg, x of Pillow"
    )
    for name, value in medians.items():
        over = [medians[base] / value for base in (PYLIBJPEG, PILLOW)]
        print(f"{name:22} {value * 1e3:7.2f} ms {1 / value:7.0f} a second {over[0]:6.2f} x {over[1]:6.2f} x")


if __name__ == "__main__":
    main()
