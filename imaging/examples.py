"""One study made ready: decoded, resized, its mask drawn, its facts noted. A refusal is a value, no
exception.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging import dicom, rle
from imaging.radiograph import load
from imaging.resize import resize_image, resize_mask
from imaging.twins import difference_hash


@dataclass(frozen=True)
class Example:
    """image: uint8 (S, S). mask: uint8 0/1 (S, S) of a positive, else None. code: the run-length code at the
    original size, None for an unlabelled image. hash: uint8 (32,), see imaging.twins. facts: the index's
    columns known here. patient: DICOM PatientID. oddities: how the file differs from the rule, in words.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8] | None
    code: str | None
    hash: NDArray[np.uint8]
    facts: dict[str, Any]
    patient: str | None
    oddities: tuple[str, ...]


@dataclass(frozen=True)
class Refusal:
    """An input left out, with the reason in words."""

    input: str
    reason: str


def read_example(record: dict[str, Any], size: int) -> Example | Refusal:
    """Read one record of a `Listing` (image_id, path, split, rle) for the prepared side `size`."""
    try:
        return _read(record, size)
    except dicom.RefusedFile as error:
        return Refusal(record["path"], error.reason)
    except rle.RleError as error:
        return Refusal(record["path"], f"its mask does not fit: {error}")


def _read(record: dict[str, Any], size: int) -> Example:
    data = load(record["path"])  # read once: for the picture and for the checksum
    pixels, about = dicom.decode_reduced(data, size)
    image = resize_image(pixels, size)
    area, mask = _mask(record["rle"], (about.height, about.width), size)
    facts = {
        "image_id": record["image_id"],
        "path": record["path"],
        "width": about.width,
        "height": about.height,
        "sex": about.sex,
        "age": about.age,
        "view": about.view,
        "spacing_mm": about.spacing_mm[0] if about.spacing_mm else None,
        "label": None if area is None else int(area > 0),
        "area_px": area,
        "sha256": hashlib.sha256(data).hexdigest(),
        "split": record["split"],
    }
    renamed = about.sop_uid != record["image_id"]
    oddities = (
        *about.notes,
        *(["file name is not its SOPInstanceUID; labels go by name"] if renamed else []),
    )
    return Example(image, mask, record["rle"], difference_hash(image), facts, about.patient_id, oddities)


def _mask(code: str | None, shape: tuple[int, int], size: int) -> tuple[int | None, NDArray[np.uint8] | None]:
    """Area at the original shape (None: unlabelled), and the mask (size, size) of a positive."""
    if code is None:
        return None, None
    if code == rle.EMPTY:
        return 0, None
    mask = rle.decode(code, shape)
    return rle.area(code), resize_mask(mask, size)
