"""Read a radiograph from a DICOM file: one grey frame of up to 16 bits, in the transfer syntaxes in use.

Pixels come out as a viewer would first show them, brighter = denser. What cannot be read is refused with a
reason; nothing is read by half. Parts: dicom_file, dicom_header and dicom_facts (what the file says),
dicom_frame (decoding), dicom_grey (modality, window, inversion), jpeg (the fast path of 8-bit JPEG).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imaging.decoding.radiograph import Facts, Radiograph, RefusedFile, load, naming, to_uint8
from imaging.dicom import metadata, parser, windowing
from imaging.dicom import pixels as dicom_frame

__all__ = [
    "Facts",
    "Radiograph",
    "RefusedFile",
    "decode",
    "decode_reduced",
    "read",
    "read_reduced",
    "to_uint8",
]


def read(path: str | Path) -> Radiograph:
    """Read a DICOM file; RefusedFile (a ValueError) names the file and the reason when it is none of ours.

    Pixels are (H, W), uint8 for up to 8 stored bits without look-up tables in the file, else uint16 over the
    full range. Applied in this order: modality table or rescale, VOI table or the first window, inversion for
    MONOCHROME1 or the presentation shape INVERSE; pixel padding becomes black. See dicom_grey.table for files
    without a window.
    """
    with naming(path):
        return decode(load(path))


def read_reduced(path: str | Path, side: int) -> tuple[NDArray[np.uint8], Facts]:
    """Read as uint8 for a use that needs `side` pixels a side, without the work for more where possible.

    Both sides of the pixels are at least `side`, or the original's where that is smaller; 8-bit JPEG decodes
    straight to 1/2, 1/4 or 1/8. The facts carry the original height and width. Threads run this side by side.
    """
    with naming(path):
        return decode_reduced(load(path), side)


def decode(data: bytes) -> Radiograph:
    """As `read`, from a file's bytes."""
    return _decode(data, None)


def decode_reduced(data: bytes, side: int) -> tuple[NDArray[np.uint8], Facts]:
    """As `read_reduced`, from a file's bytes."""
    radiograph = _decode(data, side)
    return to_uint8(radiograph.pixels), radiograph.facts


def _decode(data: bytes, side: int | None) -> Radiograph:
    header, element = parser.parse(data)
    shape = dicom_frame.check(header, element)
    if side is not None and not windowing.is_plain(header):
        side = None  # averages of stored values are averages of greys only where the one is proportional to the other
    codes = dicom_frame.decode(header, element, shape, side)
    pixels, notes = windowing.show(header, codes)
    return Radiograph(pixels, metadata.facts(header, *shape, notes))
