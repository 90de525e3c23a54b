"""The study that an object is about: its header, checked so that it can be pointed at, with what is not valid mended or left out.

Patient and study stand in the object as they stand in the source: a de-identified study stays so, and nothing is added.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path

from pydicom import config, dcmread
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.uid import UID, UID_dictionary
from pydicom.valuerep import validate_value

from imaging.dicom.header import Header
from imaging.dicom.metadata import age_in_years

# highdicom quotes patients' names in its warnings, as pydicom does (imaging.dicom.parser).
warnings.filterwarnings("ignore", module=r"(highdicom|pydicom)\b")

FORMS = ("AS", "CS", "DA", "DS", "DT", "IS", "TM")
"""Value representations with a form that a text can break."""
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
"""What may be empty but must be there (type 2 of the patient, study and image modules)."""


class NoReference(ValueError):
    """A study that no DICOM object can be about."""


@dataclass(frozen=True)
class Author:
    """Who says so: the trained networks."""

    name: str
    """Of the bundle; at most 64 characters (LO)."""
    version: str
    """Of the bundle: the SHA-256 that seals it, cut to 64 characters or fewer."""


def read(path: str | Path) -> Dataset:
    """The header of a DICOM file without its pixels; NoReference says what is missing to point at it.

    Objects that point nowhere would be lost in any archive: a file whose study, series or instance has no valid UID gets none.
    """
    try:
        header = dcmread(path, stop_before_pixels=True, force=True)
    except Exception as error:  # damaged bytes fail anywhere within pydicom
        raise NoReference(f"the header is damaged ({type(error).__name__})") from None
    missing = [name for name in POINTERS if not UID(str(header.get(name, ""))).is_valid]
    if missing:
        raise NoReference(f"no valid {', '.join(missing)} to point back at")
    if header.SOPClassUID not in UID_dictionary:  # highdicom copies what the standard has of a class
        raise NoReference("a class of object that the standard does not know")
    if re.search("Multi-frame|Enhanced", header.SOPClassUID.name):
        raise NoReference(f"{header.SOPClassUID.name}: objects are made about single-frame radiographs alone")
    return mended(header)


def mended(header: Dataset) -> Dataset:
    """A copy without values that break the form of their type (PS3.5 6.2), over which validators and archives stumble.

    SIIM's age `29` becomes `029Y`. Names, ids and descriptions stay as they are, whatever they are.
    """
    plain, good = Header(header), Dataset()
    for tag in list(header.keys()):  # the data set's own iterator would convert every value first
        keyword = keyword_for_tag(tag)
        texts = plain.texts(keyword) if keyword else []  # private elements have none
        try:
            element = header[tag]
        except Exception:  # pydicom's conversions raise whatever they like on damaged values
            continue
        if _formed(element.VR, texts):
            good.add(element)
    years = age_in_years(plain.text("PatientAge"))
    if years is not None and "PatientAge" not in good:
        good.PatientAge = f"{years:03}Y"
    if good.get("PatientSex") not in ("M", "F", "O"):
        good.PatientSex = ""
    # whether a body part has sides need not be said where one is named
    for name in (*NEEDED, *(() if good.get("BodyPartExamined") else ("Laterality",))):
        if name not in good:
            setattr(good, name, "")
    good.pop("NumberOfFrames", None)  # some devices write 1 where the class has no frames
    return good


def _formed(representation: str, values: list[str]) -> bool:
    """Whether the values of an element are as its representation demands, where that demands a form."""
    try:
        for value in values if representation in FORMS else []:
            validate_value(representation, value, config.RAISE)
    except ValueError:
        return False
    return True
