"""Read a radiograph from a file of any known format, recognised by its content, not by its name."""

from __future__ import annotations

from pathlib import Path

from imaging import dicom
from imaging.decoding import pillow
from imaging.decoding.radiograph import Radiograph, RefusedFile, load, naming, to_uint8
from imaging.dicom.parser import is_dicom
from imaging.domain import plausibility
from imaging.formats import nifti, pictures, remote


def read(path: str | Path, side: int | None = None) -> Radiograph:
    """Read a DICOM file, a picture or one slice of a volume (`x.nii.gz#12`), by path or URL.

    Pixels are (H, W), uint8 or uint16, brighter = denser; see imaging.dicom.decode, imaging.formats.pictures.decode and
    imaging.formats.nifti.read. With `side` they are uint8, and may be smaller than the original as long as both sides have
    `side` pixels, which is faster; the facts hold the original's size. A DICOM file's spacing is checked (imaging.domain).
    RefusedFile (a ValueError) names file, code and reason.
    """
    if nifti.is_slice(path):
        volume = nifti.read(path)
        return volume if side is None else Radiograph(to_uint8(volume.pixels), volume.facts)
    with naming(path):
        return decode(remote.load(str(path)) if remote.is_url(path) else load(path), side)


def decode(data: bytes, side: int | None = None) -> Radiograph:
    """As `read`, from a file's bytes, such as an upload."""
    if not data:
        raise RefusedFile("FILE-EMPTY", "the file is empty")
    return (
        pictures.decode(data, side) if _is_picture(data) else plausibility.checked(dicom.decode(data, side))
    )


def _is_picture(data: bytes) -> bool:
    """Tell the two apart; a DICOM file may begin as a TIFF, so that viewers of either read it (PS3.10 7.1)."""
    return pillow.kind(data) is not None and not is_dicom(data)
