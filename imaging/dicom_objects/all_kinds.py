"""All objects about one study, each made separately, so that one failure does not affect the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from imaging.dicom_objects import presentation_state, report, secondary_capture, segmentation
from imaging.dicom_objects.reference import Author
from imaging.dicom_objects.report import Prediction

ABOUT_A_MASK = ("seg", "gsps", "sc")
ABOUT_ANY = ("sr",)


@dataclass(frozen=True)
class Made:
    """Objects and failures by kind."""

    objects: dict[str, Dataset]
    failed: dict[str, str]
    """Why an object was not made: the type of error only, since its text may name the patient."""


def make(
    kinds: Iterable[str],
    study: Dataset,
    mask: NDArray[np.bool_],
    grey: NDArray[np.uint8] | None,
    prediction: Prediction,
    author: Author,
    note: str,
) -> Made:
    """The objects of these kinds about a study from reference.read.

    mask: bool (rows, columns); an empty one gives only a report. grey: uint8 (rows, columns), needed for `sc`.
    """
    makers: dict[str, Callable[[], Dataset]] = {"sr": lambda: report.make(study, prediction, author, note)}
    if mask.any():
        makers["seg"] = lambda: segmentation.make(study, mask, author, note)
        makers["gsps"] = lambda: presentation_state.make(study, mask, author, note)
    if mask.any() and grey is not None:
        makers["sc"] = lambda: secondary_capture.make(study, grey, mask, author, note)
    made = Made({}, {})
    for kind in kinds:
        if kind not in makers:
            continue
        try:
            made.objects[kind] = makers[kind]()
        except Exception as error:  # headers may hold anything
            made.failed[kind] = type(error).__name__
    return made
