"""What all our objects have in common: a series of their own, who made them, and what holds for the pictures they came from."""

from __future__ import annotations

from typing import Any, TypeVar

from highdicom import UID
from pydicom.dataset import Dataset

from imaging.dicom_objects.reference import Author

MANUFACTURER = "Pneumothorax research pipeline"
CAUTION = "research, not for diagnosis"

OF_PATIENT = ("PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence")
"""That the study is de-identified, and how, holds for what is made of it."""
OF_SERIES = ("BodyPartExamined", "Laterality")
"""Not of segmentations, which say it of each segment."""
OF_IMAGE = (
    "PatientOrientation",
    "BurnedInAnnotation",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)
"""Of an object with pixels: which way up, whether text was burned in, that the greys have once been compressed with a loss."""

D = TypeVar("D", bound=Dataset)


def numbered(number: int, description: str, author: Author) -> dict[str, Any]:
    """highdicom's arguments for an object that is the first of a new series."""
    return {
        "series_instance_uid": UID(),
        "series_number": number,
        "series_description": f"{description} ({CAUTION})",
        "sop_instance_uid": UID(),
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": author.name,
        "software_versions": author.version,
        "device_serial_number": author.version,
    }


def take_over(made: D, study: Dataset, names: tuple[str, ...]) -> D:
    """Give an object those elements of the study that highdicom leaves out."""
    for name in names:
        if name in study and not made.get(name):
            made[name] = study[name]
    return made
