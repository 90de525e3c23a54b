"""The header of the study that an object refers to: checked for valid UIDs, with invalid values corrected or left out.

Patient and study are copied from the source as they are: a de-identified study stays de-identified, and nothing is added.
"""

from __future__ import annotations

import logging
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID, UID_dictionary
from pydicom.valuerep import format_number_as_ds

from imaging.dicom.header import of_dataset
from imaging.dicom.metadata import age_in_years
from imaging.dicom_objects import greys, values

# highdicom quotes patients' names in its warnings and its log, as pydicom does (imaging.dicom.parser).
warnings.filterwarnings("ignore", module=r"(highdicom|pydicom)\b")
logging.getLogger("highdicom").setLevel(logging.CRITICAL)

LEFT_OUT = ("SpecificCharacterSet", "NumberOfFrames", *greys.MODALITY, *greys.VOI)
"""Set below, or dropped: some devices write NumberOfFrames 1 in single-frame classes."""
PLACED = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
"""Without these a frame of reference has no meaning, and highdicom refuses it."""
POINTERS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
NEEDED = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "PatientOrientation",
)
"""Attributes that must be present but may be empty (type 2 of the patient, study and image modules)."""


class NoReference(ValueError):
    """A study that no DICOM object can refer to."""


@dataclass(frozen=True)
class Author:
    """The author of an object: the trained networks."""

    name: str
    """The bundle's name; at most 64 characters (LO)."""
    version: str
    """The bundle's version: the SHA-256 of its index, cut to 64 characters or fewer."""
    warning: str = ""
    """What every object must say about the networks, such as that they were trained on phantoms."""

    def noted(self, note: str) -> str:
        """The warning, followed by a note."""
        return "   ".join(part for part in (self.warning, note) if part)

    def described(self, note: str) -> str | None:
        """The same as a ContentDescription: at most 64 characters (LO), cut between words; None without any."""
        text = self.noted(note)
        if not text:
            return None
        return text if len(text) <= 64 else text[:60].rsplit(" ", 1)[0].rstrip(" ,:") + " ..."


def read(path: str | Path) -> Dataset:
    """The header of a DICOM file without its pixels, in valid form; NoReference says why no object can refer to it.

    An archive cannot file an object that refers to nothing, so valid study, series and instance UIDs are required.
    """
    try:
        header = dcmread(path, stop_before_pixels=True, force=True)
    except Exception as error:  # damaged bytes fail anywhere within pydicom
        raise NoReference(f"the header is damaged ({type(error).__name__})") from None
    missing = [name for name in POINTERS if not UID(str(header.get(name, ""))).is_valid]
    if missing:
        raise NoReference(f"no valid {', '.join(missing)} to refer to")
    if (
        header.SOPClassUID not in UID_dictionary
    ):  # highdicom copies the modules that the standard gives a class
        raise NoReference("its SOP class is not in the DICOM standard")
    if re.search("Multi-frame|Enhanced", header.SOPClassUID.name):
        raise NoReference(f"{header.SOPClassUID.name}: objects are made only for single-frame radiographs")
    return mended(header)


def set_spacing(study: Dataset, spacing_mm: tuple[float, float] | None) -> None:
    """Replace the implausible spacing of a study from `read`, or remove it where there is no better one."""
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        study.pop(name, None)
    if spacing_mm is None:
        study.pop("FrameOfReferenceUID", None)
    else:
        study.PixelSpacing = [format_number_as_ds(value) for value in spacing_mm]


def mended(header: Dataset) -> Dataset:
    """A copy in valid form (imaging.dicom_objects.values): what cannot be corrected is left out, or empty where it is required.

    SIIM's age `29` becomes `029Y`, a spacing of 20 digits is rounded to 16 characters, an impossible date is left empty.
    Names, ids and descriptions are never changed. Greys are as imaging.dicom_objects.greys gives them.
    """
    plain, good = of_dataset(header, _syntax(header)), Dataset()
    named = header.get("SpecificCharacterSet") or []  # converted already: pydicom needs it to read texts
    if terms := values.character_set(
        [named] if isinstance(named, str) else [str(term).strip() for term in named]
    ):
        good.SpecificCharacterSet = terms
    for tag in list(header.keys()):  # the data set's own iterator would convert every value first
        keyword = keyword_for_tag(tag)
        if keyword in LEFT_OUT:
            continue
        element = _element(header, tag, plain.texts(keyword) if keyword else [])
        if element is not None:
            good.add(element)
    years = age_in_years(plain.text("PatientAge"))
    if years is not None and "PatientAge" not in good:
        good.PatientAge = f"{years:03}Y"
    if good.get("PatientSex") not in ("M", "F", "O"):
        good.PatientSex = ""
    # Laterality is required, if only empty, where no body part is named
    for name in (*NEEDED, *(() if good.get("BodyPartExamined") else ("Laterality",))):
        if name not in good:
            setattr(good, name, "")
    if not all(good.get(name) for name in PLACED):
        good.pop("FrameOfReferenceUID", None)
    good.update(greys.modality(plain))
    good.update(greys.voi(plain))
    return good


def _element(header: Dataset, tag: BaseTag, texts: list[str]) -> DataElement | None:
    """An element of a header with its values corrected; None when it is left out."""
    try:
        element = header[tag]
    except Exception:  # pydicom's conversions raise arbitrary errors on damaged values
        return None
    if not texts or element.VR == "SQ":
        return element
    spacing = element.keyword in ("PixelSpacing", "ImagerPixelSpacing")
    fine = values.spacing(texts) if spacing else values.corrected(element.VR, texts)
    if fine is None:
        return None
    if element.VR == "PN" and element.VM > 1:
        return DataElement(tag, "PN", element.value[0])
    return element if fine == texts else DataElement(tag, element.VR, fine if len(fine) > 1 else fine[0])


def _syntax(header: Dataset) -> str:
    """The transfer syntax that the file says it has."""
    meta = getattr(header, "file_meta", None)
    return str(meta.get("TransferSyntaxUID", "")) if meta is not None else ""
