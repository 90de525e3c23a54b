"""Facts in a DICOM header about the picture and the patient."""

from __future__ import annotations

from imaging.decoding.radiograph import Facts
from imaging.dicom.header import Header
from imaging.dicom.pixels import photometric


def facts(header: Header, height: int, width: int) -> Facts:
    """Collect the facts about the picture."""
    age, spacing = header.text("PatientAge"), spacing_mm(header)
    years = age_in_years(age)
    if age is not None and years is None:
        header.note("the patient's age is not valid and is left out")
    return Facts(
        height=height,
        width=width,
        spacing_mm=spacing,
        patient_id=header.text("PatientID"),
        sex=sex if (sex := (header.text("PatientSex") or "").upper()) in ("M", "F", "O") else None,
        age=years,
        view=(header.text("ViewPosition") or "").upper() or None,
        body_part=(header.text("BodyPartExamined") or "").upper() or None,
        field_of_view_mm=field_of_view_mm(header),
        orientation=tuple(part.upper() for part in header.texts("PatientOrientation")),
        study_uid=header.text("StudyInstanceUID"),
        series_uid=header.text("SeriesInstanceUID"),
        sop_uid=header.text("SOPInstanceUID"),
        sop_class=header.text("SOPClassUID"),
        transfer_syntax=header.syntax,
        photometric=photometric(header),
        bits=header.integer("BitsStored"),
        notes=tuple(header.notes),
    )


def age_in_years(text: str | None) -> int | None:
    """Read an age string (AS, `018M`) or SIIM's bare number of years; None when it is not a plausible age."""
    if not text:
        return None
    number, unit = (text[:-1], text[-1].upper()) if text[-1].isalpha() else (text, "Y")
    per_year = {"Y": 1, "M": 12, "W": 52, "D": 365}.get(unit)
    if per_year is None or not (number.isascii() and number.isdigit()):
        return None
    years = int(number) // per_year
    return years if years <= 120 else None


def spacing_mm(header: Header) -> tuple[float, float] | None:
    """Row and column spacing: in the patient (PixelSpacing), else at the detector (ImagerPixelSpacing)."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        values = header.numbers(keyword, 2)
        if values is None:
            header.note(f"{keyword} is not two numbers and is left out")
        elif len(values) == 2 and min(values) > 0:
            return values[0], values[1]
    return None


def field_of_view_mm(header: Header) -> tuple[float, float] | None:
    """Sides of a rectangular field of view (FieldOfViewDimensions); None for other shapes, or where it is not two positive
    numbers.
    """
    values = header.numbers("FieldOfViewDimensions", 2)
    if (header.text("FieldOfViewShape") or "RECTANGLE").upper() != "RECTANGLE":
        return None
    return (values[0], values[1]) if values and len(values) == 2 and min(values) > 0 else None
