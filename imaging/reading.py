"""Read a radiograph from a file of any format we know, told by its content, not by its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imaging import dicom, pictures
from imaging.dicom_file import is_dicom
from imaging.radiograph import Facts, Radiograph, load, naming


def read(path: str | Path) -> Radiograph:
    """Read a DICOM file or a picture; see imaging.dicom.read and imaging.pictures.read.

    RefusedFile (a ValueError) names the file and the reason when it is neither or cannot be read.
    """
    with naming(path):
        return decode(load(path))


def read_reduced(path: str | Path, side: int) -> tuple[NDArray[np.uint8], Facts]:
    """Read as uint8 with both sides at least `side`, or the original's where that is smaller."""
    with naming(path):
        data = load(path)
        return (
            pictures.decode_reduced(data, side) if pictures.kind(data) else dicom.decode_reduced(data, side)
        )


def decode(data: bytes) -> Radiograph:
    """As `read`, from a file's bytes, such as an upload."""
    return pictures.decode(data) if _is_picture(data) else dicom.decode(data)


def _is_picture(data: bytes) -> bool:
    """Tell the two apart; a DICOM file may begin as a TIFF, so that viewers of either read it (PS3.10 7.1)."""
    return pictures.kind(data) is not None and not is_dicom(data)
