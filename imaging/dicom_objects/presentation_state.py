"""A mask's outline as a DICOM Grayscale Softcopy Presentation State (PS3.3 A.33), for viewers that cannot show segmentations."""

from __future__ import annotations

import numpy as np
from highdicom import PresentationLUTTransformation
from highdicom.color import CIELabColor
from highdicom.pr import (
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GrayscaleSoftcopyPresentationState,
    TextObject,
)
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from imaging.caption import RESEARCH
from imaging.dicom_objects import greys
from imaging.dicom_objects.reference import Author
from imaging.dicom_objects.series import OF_PATIENT, OF_SERIES, numbered, plain, take_over
from imaging.outline import COLOUR, polygons

SERIES = 9002
TEXT_BOX = (0.02, 0.94, 0.98, 0.99)
"""Left, top, right, bottom of the text, as fractions of the displayed area."""


def make(
    study: Dataset, mask: NDArray[np.bool_], author: Author, note: str = ""
) -> GrayscaleSoftcopyPresentationState:
    """The state that shows the outline of a non-empty mask bool (rows, columns) over a study from reference.read.

    A line of text says that an algorithm made it. Points lie within half a pixel of the mask's edge. ValueError when the
    sizes differ or the mask is empty.
    """
    if mask.shape != (study.Rows, study.Columns) or not mask.any():
        raise ValueError(
            f"a mask of shape {mask.shape} with {int(mask.sum())} pixels inside; it must not be empty and must have the"
            f" study's shape {(study.Rows, study.Columns)}"
        )
    layer = GraphicLayer(
        "PNEUMOTHORAX", order=1, description="Outline", display_color=CIELabColor.from_string(COLOUR)
    )
    image = plain(study)
    text = TextObject(
        f"{RESEARCH}  {author.noted(note)}".strip(), "DISPLAY", TEXT_BOX, text_justification="LEFT"
    )
    annotation = GraphicAnnotation(
        [image], layer, graphic_objects=[_closed(p) for p in polygons(mask)], text_objects=[text]
    )
    made = GrayscaleSoftcopyPresentationState(
        referenced_images=[image],
        content_label="PNEUMOTHORAX",
        content_description=author.described(note),
        graphic_layers=[layer],
        graphic_annotations=[annotation],
        presentation_lut_transformation=PresentationLUTTransformation(_polarity(study)),
        **numbered(SERIES, "Pneumothorax, outline", author),
    )
    if study.get("PixelSpacing"):  # highdicom writes square pixels
        area = made.DisplayedAreaSelectionSequence[0]
        area.PresentationPixelSpacing = study.PixelSpacing
        del area.PresentationPixelAspectRatio
    _add_greys(made, study)
    return take_over(made, study, (*OF_PATIENT, *OF_SERIES))


def _add_greys(made: Dataset, study: Dataset) -> None:
    """The study's modality and value-of-interest transformations: a state replaces those of the image (C.11.8)."""
    made.update({study[name].tag: study[name] for name in greys.MODALITY if name in study})
    window = Dataset()
    window.update({study[name].tag: study[name] for name in greys.VOI if name in study})
    if window:
        made.SoftcopyVOILUTSequence = Sequence([window])


def _closed(polygon: NDArray[np.float32]) -> GraphicObject:
    """A polyline that ends where it began."""
    return GraphicObject("POLYLINE", np.vstack([polygon, polygon[:1]]), units="PIXEL")


def _polarity(study: Dataset) -> str:
    """The state replaces the study's own polarity: without INVERSE, MONOCHROME1 would be shown inverted (C.11.6)."""
    inverse = (
        study.get("PhotometricInterpretation") == "MONOCHROME1"
        or study.get("PresentationLUTShape") == "INVERSE"
    )
    return "INVERSE" if inverse else "IDENTITY"
