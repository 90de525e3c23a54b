"""The radiograph with the outline and a caption drawn in, as a DICOM Secondary Capture for any viewer (PS3.3 A.8)."""

from __future__ import annotations

import numpy as np
from highdicom.sc import SCImage
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import JPEGLSLossless

from imaging.caption import RESEARCH, with_caption
from imaging.dicom_objects.reference import Author
from imaging.dicom_objects.series import OF_IMAGE, OF_PATIENT, OF_SERIES, numbered, plain, take_over
from imaging.outline import COLOUR, draw

SERIES = 9003


def make(
    study: Dataset, grey: NDArray[np.uint8], mask: NDArray[np.bool_], author: Author, note: str = ""
) -> SCImage:
    """A colour picture of grey uint8 (rows, columns), as a viewer shows it, with the outline of a mask bool (rows, columns).

    A bar below the radiograph says that an algorithm made this, for research only, and holds the note. ValueError when the
    sizes differ.
    """
    if not (mask.shape == grey.shape == (study.Rows, study.Columns)):
        raise ValueError(
            f"pixels {grey.shape} and mask {mask.shape} must have the study's shape {(study.Rows, study.Columns)}"
        )
    note = author.noted(note)
    made = SCImage.from_ref_dataset(
        ref_dataset=plain(study),
        pixel_array=with_caption(draw(grey, mask, COLOUR), f"{RESEARCH}   {note}"),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),  # highdicom requires one; the study's own replaces it below
        pixel_spacing=study.get("PixelSpacing"),
        transfer_syntax_uid=JPEGLSLossless,
        **numbered(SERIES, "Pneumothorax, outline drawn in", author),
    )
    del made.PatientOrientation
    made.ImageComments = note
    made.SourceImageSequence = [_pointer(study)]
    return take_over(made, study, (*OF_PATIENT, *OF_IMAGE, *OF_SERIES))


def _pointer(study: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = study.SOPClassUID, study.SOPInstanceUID
    return item
