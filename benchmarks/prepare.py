"""Preparation, image by image on one core: ours against a plain loop, and against decoding alone. `python
benchmarks/prepare.py`

On generated chest phantoms, or with SIIM_SAMPLE_DIR set on real files in SIIM's folders. Ours reads the
file, takes its checksum, its header and its picture, resizes, draws the mask and appends both to large
files. The plain loop is what most public solutions do once before training: pydicom's pixel_array, a PNG of
the picture and one of the mask. Decoding alone takes the compressed frames from memory: no preparation can
be faster on this decoder.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
from pydicom.encaps import generate_frames

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import timing
from benchmarks.rle import copied_decode
from benchmarks.timing import Row, against
from imaging.io.npy_writer import RowWriter, row_writer
from imaging.io.threads import cores, ordered_map
from imaging.phantom.dataset import write
from imaging.preparation.example import Example, Refusal, read_example
from imaging.settings import DataSettings, PhantomSettings
from imaging.sources import list_studies, listing

PEER = "a plain pydicom + OpenCV + PNG loop"
REDUCED = {
    1024: cv2.IMREAD_GRAYSCALE,
    512: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    256: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    128: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}


def ours(record: dict[str, Any], size: int, images: RowWriter, masks: RowWriter) -> None:
    """One step of `imaging.prepare`."""
    _append(read_example(record, size), images, masks)


def _append(example: Example | Refusal, images: RowWriter, masks: RowWriter) -> None:
    assert isinstance(example, Example), example
    images.append(example.image)
    if example.mask is not None:
        masks.append(example.mask)


def plain(record: dict[str, Any], size: int, folder: Path) -> None:
    """The usual script: full decode, PNG files, masks drawn run by run at the original size."""
    pixels = pydicom.dcmread(record["path"]).pixel_array
    cv2.imwrite(str(folder / f"{record['image_id']}.png"), cv2.resize(pixels, (size, size)))
    code = record.get("rle")
    if code is not None and code != "-1":
        mask = cv2.resize(copied_decode(code), (size, size), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(folder / f"{record['image_id']}-mask.png"), mask.astype(np.uint8))


def decode(frame: np.ndarray, size: int) -> None:
    """The decoder alone, in full (1024) or reducing as ours does."""
    cv2.imdecode(frame, REDUCED[size])


def frame_of(path: str) -> np.ndarray:
    """The compressed frame of a JPEG DICOM file."""
    return np.frombuffer(next(generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=1)), np.uint8)


def records(folder: str) -> list[dict[str, Any]]:
    """All files of a SIIM folder that have a label."""
    frame = list_studies(DataSettings(source="siim", folder=folder)).records
    return list(listing.rows(frame[frame["split"] == "train"]))


def compare(folder: str, size: int, rounds: int) -> None:
    """Print images per second on one core and the ratios."""
    studies = records(folder)
    frames = [frame_of(study["path"]) for study in studies]
    with (
        tempfile.TemporaryDirectory() as scratch,
        row_writer(Path(scratch) / "images.npy", (size, size)) as images,
        row_writer(Path(scratch) / "masks.npy", (size, size)) as masks,
    ):
        cases: dict[str, timing.Case] = {
            "decoding alone": (partial(decode, size=1024), frames),
            "reduced decoding": (partial(decode, size=size), frames),
            "ours": (partial(ours, size=size, images=images, masks=masks), studies),
            "plain loop": (partial(plain, size=size, folder=Path(scratch)), studies),
        }
        seconds = timing.medians(cases, rounds)
    print(f"\n{len(studies)} files to {size} px, median of {rounds} rounds")
    for name, value in seconds.items():
        print(f"  {name:15} {1 / value:8.1f} images/s   {seconds['plain loop'] / value:6.2f} x plain loop")
    for alone in ("decoding alone", "reduced decoding"):
        print(f"  ours reaches {seconds[alone] / seconds['ours']:.2f} of {alone}")


def rows() -> list[Row]:
    """For `benchmarks.suite`: the whole loop over the files, ours on all cores as `imaging.prepare` runs it."""
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as scratch:
        write(f"{scratch}/phantom", PhantomSettings(train=40, test=1))
        studies = records(f"{scratch}/phantom")
        with (
            row_writer(Path(scratch) / "images.npy", (512, 512)) as images,
            row_writer(Path(scratch) / "masks.npy", (512, 512)) as masks,
        ):

            def threads(studies: list[dict[str, Any]]) -> None:
                for example in ordered_map(partial(read_example, size=512), studies, cores()):
                    _append(example, images, masks)

            def loop(studies: list[dict[str, Any]]) -> None:
                for study in studies:
                    plain(study, 512, Path(scratch))

            seconds = timing.medians({PEER: (loop, [studies]), "ours": (threads, [studies])}, rounds=5)
    note = f"{len(studies) / seconds['ours']:.0f} studies a second"
    return against("prepare at 512², all cores", seconds, "ours", {PEER: 5}, note)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 256, 1024], choices=sorted(REDUCED))
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    print(timing.machine())
    with tempfile.TemporaryDirectory() as scratch:
        folder = os.environ.get("SIIM_SAMPLE_DIR") or f"{scratch}/phantom"
        if not os.environ.get("SIIM_SAMPLE_DIR"):
            write(folder, PhantomSettings(train=40, test=1))
        for size in given.sizes:
            compare(folder, size, given.rounds)


if __name__ == "__main__":
    main()
