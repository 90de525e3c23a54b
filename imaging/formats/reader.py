"""Read a radiograph from a file of any format we know, told by its content, not by its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imaging import dicom
from imaging.decoding import pillow
from imaging.decoding.radiograph import Facts, Radiograph, load, naming, to_uint8
from imaging.dicom.parser import is_dicom
from imaging.formats import nifti, pictures, remote
from imaging.resize import resize_image


def read(path: str | Path) -> Radiograph:
    """Read a DICOM file, a picture or one slice of a volume; see imaging.dicom.read, imaging.formats.pictures.read and
    imaging.formats.nifti.read.

    RefusedFile (a ValueError) names the file and the reason when it is neither or cannot be read.
    """
    if nifti.is_slice(path):
        return nifti.read(path)
    with naming(path):
        return decode(load(path))


def read_reduced(path: str | Path, side: int) -> tuple[NDArray[np.uint8], Facts]:
    """Read as uint8 with both sides at least `side`, or the original's where that is smaller; a URL's file too."""
    if remote.is_url(path):
        with naming(path):
            return decode_reduced(remote.load(str(path)), side)
    if nifti.is_slice(path):
        radiograph = nifti.read(path)
        return to_uint8(radiograph.pixels), radiograph.facts
    with naming(path):
        return decode_reduced(load(path), side)


def read_square(path: str | Path, side: int) -> tuple[NDArray[np.uint8], Facts]:
    """Read as the square (side, side) that networks are given, and the original's facts."""
    pixels, facts = read_reduced(path, side)
    return resize_image(pixels, side), facts


def decode(data: bytes) -> Radiograph:
    """As `read`, from a file's bytes, such as an upload."""
    return pictures.decode(data) if _is_picture(data) else dicom.decode(data)


def decode_reduced(data: bytes, side: int) -> tuple[NDArray[np.uint8], Facts]:
    """As `read_reduced`, from a file's bytes."""
    if _is_picture(data):
        return pictures.decode_reduced(data, side)
    radiograph = dicom.decode(data, side)
    return to_uint8(radiograph.pixels), radiograph.facts


def _is_picture(data: bytes) -> bool:
    """Tell the two apart; a DICOM file may begin as a TIFF, so that viewers of either read it (PS3.10 7.1)."""
    return pillow.kind(data) is not None and not is_dicom(data)
