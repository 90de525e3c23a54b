"""A mask as a DICOM Segmentation: one bit a pixel, at the study's own rows and columns (PS3.3 A.51)."""

from __future__ import annotations

import numpy as np
from highdicom import UID, AlgorithmIdentificationSequence, PixelMeasuresSequence
from highdicom.seg import Segmentation, SegmentationTypeValues, SegmentDescription
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from imaging.dicom_objects.reference import Author
from imaging.dicom_objects.series import OF_IMAGE, OF_PATIENT, numbered, plain, take_over

PNEUMOTHORAX = Code("36118008", "SCT", "Pneumothorax")
CATEGORY = codes.cid7150.MorphologicallyAbnormalStructure
SERIES = 9001


def make(study: Dataset, mask: NDArray[np.bool_], author: Author, note: str = "") -> Segmentation:
    """The Segmentation of a mask bool (rows, columns) over a study from reference.read; note: cut to 64 characters together
    with the author's warning.

    Ready for `save_as`; np.array_equal(made.pixel_array, mask). ValueError when the sizes differ.
    """
    if mask.shape != (study.Rows, study.Columns):
        raise ValueError(f"the mask has shape {mask.shape}, but the study has {(study.Rows, study.Columns)}")
    made = Segmentation(
        source_images=[plain(study)],
        pixel_array=mask,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_segment(author)],
        omit_empty_frames=False,  # a mask may be empty
        pixel_measures=_measures(study),
        content_description=author.described(note),
        content_label="PNEUMOTHORAX",
        **numbered(SERIES, "Pneumothorax, segmentation", author),
    )
    return take_over(made, study, (*OF_PATIENT, *OF_IMAGE))


def _measures(study: Dataset) -> PixelMeasuresSequence | None:
    """The study's spacing. A projection has no slices; the thickness is nominal, since readers refuse a spacing without one."""
    spacing = study.get("PixelSpacing")
    return PixelMeasuresSequence(spacing, slice_thickness=1.0) if spacing else None


def _segment(author: Author) -> SegmentDescription:
    return SegmentDescription(
        segment_number=1,
        segment_label="Pneumothorax",
        segmented_property_category=CATEGORY,
        segmented_property_type=PNEUMOTHORAX,
        algorithm_type="AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=author.name, version=author.version, family=codes.DCM.ArtificialIntelligence
        ),
        tracking_uid=UID(),
        tracking_id="Pneumothorax",
    )
