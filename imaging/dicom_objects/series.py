"""What all objects have in common: a series of their own, their author, and the patient and study that they belong to."""

from __future__ import annotations

from typing import Any, TypeVar

from highdicom import UID
from pydicom.dataset import Dataset

from imaging.caption import PHANTOMS
from imaging.dicom_objects import greys
from imaging.dicom_objects.reference import Author

MANUFACTURER = "Pneumothorax research pipeline"

OF_PATIENT = ("PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence")
"""That the study is de-identified, and how, also holds for objects derived from it."""
OF_SERIES = ("BodyPartExamined", "Laterality")
"""Not for segmentations, which state it for each segment."""
OF_IMAGE = (
    "PatientOrientation",
    "BurnedInAnnotation",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)
"""For objects with pixels: orientation, burned-in text, and earlier lossy compression."""

D = TypeVar("D", bound=Dataset)


def numbered(number: int, description: str, author: Author) -> dict[str, Any]:
    """highdicom's arguments for the first object of a new series; with the suffix, a description has at most 64 characters."""
    kind = "phantom-trained AI, research" if author.warning == PHANTOMS else "AI, research only"
    return {
        "series_instance_uid": UID(),
        "series_number": number,
        "series_description": f"{description} ({kind})",
        "sop_instance_uid": UID(),
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": author.name,
        "software_versions": author.version,
        "device_serial_number": author.version,
    }


def plain(study: Dataset) -> Dataset:
    """A study from imaging.dicom_objects.reference, without what highdicom checks more strictly than the standard.

    Its character set and its greys are added to the finished object instead.
    """
    copy = Dataset()
    copy.update(study)
    for name in ("SpecificCharacterSet", *greys.MODALITY, *greys.VOI):
        copy.pop(name, None)
    return copy


def take_over(made: D, study: Dataset, names: tuple[str, ...]) -> D:
    """Give an object the study's character set and those of its elements that highdicom leaves out."""
    if terms := study.get("SpecificCharacterSet"):
        made.SpecificCharacterSet = terms
    for name in names:
        if name in study and not made.get(name):
            made[name] = study[name]
    return made
