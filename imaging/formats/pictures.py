"""Read a radiograph from a picture file: PNG, JPEG, TIFF or BMP, 8 or 16 bits, brighter = denser.

A picture says nothing of its window, its spacing or its patient, so all of those are None. An EXIF
orientation is ignored: masks are drawn on the pixels as stored, and turning one of the two would part them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imaging.decoding import jpeg, sandbox
from imaging.decoding.pillow import kind, page
from imaging.decoding.radiograph import (
    Facts,
    Radiograph,
    load,
    naming,
    to_uint8,
)


def read(path: str | Path) -> Radiograph:
    """Read a picture file; RefusedFile (a ValueError) names the file and the reason when it cannot be.

    Pixels are (H, W), uint8, or uint16 for 16-bit grey files. Colour becomes luma (ITU-R BT.601), with a note
    where it really is colour. Refused: animations and several pages, damaged files, more than MAX_SIDE pixels
    a side, floats, CMYK.
    """
    with naming(path):
        return decode(load(path))


def read_reduced(path: str | Path, side: int) -> tuple[NDArray[np.uint8], Facts]:
    """Read as uint8; both sides are at least `side`, or the original's where that is smaller."""
    with naming(path):
        return decode_reduced(load(path), side)


def decode(data: bytes) -> Radiograph:
    """As `read`, from a file's bytes."""
    if kind(data) == "JPEG" and (frame := jpeg.frame(data)).plain:
        return Radiograph(jpeg.decode(data), _facts(frame.height, frame.width, 8))
    # libtiff has had its share of crashes; zlib, libpng and libjpeg-turbo are the browsers' own and stay here
    pixels, notes = sandbox.picture(data) if kind(data) == "TIFF" else page(data)
    bits = 8 * pixels.dtype.itemsize
    return Radiograph(pixels, _facts(pixels.shape[0], pixels.shape[1], bits, notes))


def decode_reduced(data: bytes, side: int) -> tuple[NDArray[np.uint8], Facts]:
    """As `read_reduced`, from a file's bytes."""
    if kind(data) == "JPEG" and (frame := jpeg.frame(data)).plain:
        return jpeg.decode(data, side), _facts(frame.height, frame.width, 8)
    radiograph = decode(data)
    return to_uint8(radiograph.pixels), radiograph.facts


def _facts(height: int, width: int, bits: int, notes: tuple[str, ...] = ()) -> Facts:
    return Facts(height, width, photometric="MONOCHROME2", bits=bits, notes=notes)
