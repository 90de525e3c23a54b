"""Read one study for the prepared data: decode, resize, draw its mask, note its facts. A refusal is a value, not an exception."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging import rle
from imaging.decoding.radiograph import Facts, RefusedFile, load, to_uint8
from imaging.domain import plausibility
from imaging.formats import masks, nifti, reader
from imaging.identity.duplicates import signature
from imaging.resize import resize_image, resize_mask


@dataclass(frozen=True)
class Example:
    """One study as it is prepared.

    image: uint8 (S, S). mask: uint8 0/1 (S, S) of a positive, else None; of its boxes where it has no mask. code: the mask as a
    run-length code at the original size, None where none is known. boxes: the boxes as such a code, or None. signature:
    see imaging.identity.duplicates. facts: the index's columns known here. dicom_patient, study: DICOM PatientID
    and StudyInstanceUID. listed_patient: the patient by the source. oddities: what is unusual about the file.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8] | None
    code: str | None
    boxes: str | None
    signature: NDArray[np.void]
    facts: dict[str, Any]
    dicom_patient: str | None
    study: str | None
    listed_patient: str | None
    oddities: tuple[str, ...]


@dataclass(frozen=True)
class Refusal:
    """An input left out, with the reason in words."""

    input: str
    reason: str


def read_example(record: dict[str, Any], size: int) -> Example | Refusal:
    """Read one record of a `Listing` for the prepared side `size`."""
    try:
        return _read(record, size)
    except RefusedFile as error:
        return Refusal(record["path"], error.message)
    except rle.RleError as error:
        return Refusal(record["path"], f"MASK-CODE: its mask does not fit: {error}")


def _read(record: dict[str, Any], size: int) -> Example:
    pixels, about, checksum = _picture(record["path"], size)
    image = resize_image(pixels, size)
    code, listed, shape = record.get("rle"), record.get("label"), (about.height, about.width)
    if record.get("mask"):
        code = rle.encode(_drawn(record["mask"], about))
    if code is None and listed == 0:
        code = rle.EMPTY
    area, mask = _mask(code, shape, size)
    boxes = _boxes(record["boxes"], shape) if record.get("boxes") else None
    if area is None and boxes:  # a coarse mask, for the cells of a localising head
        mask = resize_mask(rle.decode(boxes, shape), size)
    spacing, odd = _spacing(record, about, pixels)
    facts = {
        "image_id": record["image_id"],
        "path": record["path"],
        "width": about.width,
        "height": about.height,
        "sex": record.get("sex", about.sex),
        "age": record.get("age", about.age),
        "view": record.get("view", about.view),
        "spacing_mm": spacing,
        "label": listed if area is None else int(area > 0),
        "area_px": area,
        "sha256": checksum,
        "split": record["split"],
    }
    oddities, listed_patient = (*_oddities(record, about, facts["label"]), *odd), record.get("patient_id")
    return Example(
        image,
        mask,
        code,
        boxes,
        signature(image),
        facts,
        about.patient_id,
        about.study_uid,
        listed_patient,
        oddities,
    )


def _picture(path: str, size: int) -> tuple[NDArray[np.uint8], Facts, str]:
    """Pixels, facts and a checksum: of the file, or of the pixels where one file has many slices."""
    if nifti.is_slice(path):
        found = reader.read(path, size)
        return to_uint8(found.pixels), found.facts, hashlib.sha256(found.pixels.tobytes()).hexdigest()
    data = load(path)  # read once: for the picture and for the checksum
    found = reader.decode(data, size)
    return to_uint8(found.pixels), found.facts, hashlib.sha256(data).hexdigest()


def _spacing(
    record: dict[str, Any], about: Facts, pixels: NDArray[np.uint8]
) -> tuple[float | None, tuple[str, ...]]:
    """Spacing of the rows in mm, from the source's table where it has a plausible one, else from the file."""
    listed = record.get("spacing_mm") or (record.get("height_mm") or 0) / about.height
    if not listed:
        return (about.spacing_mm[0] if about.spacing_mm else None), ()
    facts = replace(about, age=record.get("age", about.age))
    if plausibility.is_plausible(facts, pixels, (listed, listed)):
        return listed, ()
    return None, ("implausible pixel spacing in the table, so no areas in mm²",)


def _drawn(path: str, about: Facts) -> NDArray[np.bool_]:
    """The mask of a mask file, which must have its image's size."""
    try:
        mask = masks.read(path)
    except RefusedFile as error:  # the message names the mask; the input left out is the image
        raise RefusedFile(error.code, f"the mask {path}: {error.reason}") from None
    if mask.shape != (about.height, about.width):
        raise RefusedFile(
            "MASK-SIZE",
            f"the image has {about.width} x {about.height} pixels, but its mask {path} has"
            f" {mask.shape[1]} x {mask.shape[0]}; save the mask at the image's size",
        )
    return mask


def _oddities(record: dict[str, Any], about: Facts, label: int | None) -> tuple[str, ...]:
    """What is unusual about the file."""
    found = [*about.notes]
    codes = [
        *about.warning_codes,
        *(warning.partition(":")[0] for warning in plausibility.header_warnings(about)),
    ]
    found += [plausibility.IN_GENERAL[code] for code in codes]
    if about.sop_uid is not None and about.sop_uid != record["image_id"] and not record.get("mask"):
        found.append("the file name is not its SOPInstanceUID; labels are matched by file name")
    listed = record.get("label")
    if listed is not None and label is not None and listed != label:
        found.append(f"the label table says {listed}, the mask {label}; the mask is used")
    return tuple(found)


def _boxes(text: str, shape: tuple[int, int]) -> str:
    """The area of boxes, `x y width height` in pixels and separated by `;`, as a run-length code."""
    inside = np.zeros(shape, np.uint8)
    for one in text.split(";"):
        x, y, width, height = map(float, one.split())
        rows, columns = (
            slice(max(0, math.floor(low)), max(0, math.ceil(low + length)))
            for low, length in ((y, height), (x, width))
        )
        if not inside[rows, columns].size:
            raise RefusedFile(
                "TABLE-BOX",
                f"the box {one} lies outside the image's {shape[1]} x {shape[0]} pixels; give boxes in its own pixels",
            )
        inside[rows, columns] = 1
    return rle.encode(inside)


def _mask(code: str | None, shape: tuple[int, int], size: int) -> tuple[int | None, NDArray[np.uint8] | None]:
    """Area at the original shape (None: unlabelled), and the mask (size, size) of a positive."""
    if code is None:
        return None, None
    if code == rle.EMPTY:
        return 0, None
    mask = rle.decode(code, shape)
    return rle.area(code), resize_mask(mask, size)
