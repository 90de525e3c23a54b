"""What the page shows of one file: the radiograph, the ensemble's map, the answer; and the same map cut elsewhere."""

from __future__ import annotations

from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, PositiveFloat, ValidationError

from ensemble.app.encoding import outline, png, shown
from ensemble.app.upload import Declined
from ensemble.decision.decision import Prediction
from ensemble.evidence.histograms import NOTHING
from ensemble.inference.findings import measure
from ensemble.inference.predictor import Predictor, Scored
from ensemble.rules.base import one_image
from imaging.decoding.radiograph import Facts
from imaging.dicom_objects import reference
from imaging.dicom_objects import segmentation as dicom_segmentation
from imaging.dicom_objects.reference import Author
from imaging.formats import reader

MIDDLE = 128
"""Level at which the page begins where the rule itself would cut nowhere: 0.5."""


class Geometry(BaseModel):
    """What of the facts tells area and side; the page hands it back with a map, since the server keeps nothing."""

    spacing_mm: tuple[PositiveFloat, PositiveFloat] | None
    view: str | None
    orientation: tuple[str, ...]


def read(predictor: Predictor, path: Path) -> dict[str, Any]:
    """All about one file; RefusedFile says why it is none that can be read.

    `picture`, `depth`: see pictures.shown. `map`: the mask ensemble's levels as a grey PNG of the original's size.
    `level`: where the rule cuts this map, or would. `finding`: see `finding`. Nothing of the patient is in it.
    """
    facts, answer = _scored(predictor, path)
    assert answer.map is not None  # without the cascade there always is one
    return {
        **shown(reader.read(path).pixels),
        "width": facts.width,
        "height": facts.height,
        "view": facts.view,
        "dicom": facts.sop_class is not None,
        "map": png(answer.map),
        "geometry": Geometry.model_validate(facts, from_attributes=True).model_dump_json(),
        "oriented": bool(facts.orientation),
        "prob": answer.prob,
        "needed": answer.needed,
        "reason": answer.reason,
        "level": level(predictor, answer),
        "finding": finding(answer.mask, facts),
    }


def cut(predictor: Predictor, path: Path, at: int, geometry: str) -> dict[str, Any]:
    """The finding of a map, a PNG file as `read` gives it, cut at a level; geometry as `read` gives it."""
    levels = reader.read(path).pixels
    if levels.dtype != np.uint8:
        raise Declined(422, "a map has 8 bits")
    try:
        facts = Facts(*levels.shape, **Geometry.model_validate_json(geometry).model_dump())
    except ValidationError:
        raise Declined(400, "geometry is not what the server gave with this map") from None
    return finding(_cut(predictor, np.asarray(levels, np.uint8), at), facts)


def segmentation(predictor: Predictor, author: Author, path: Path, at: int) -> bytes:
    """The finding at a level as a DICOM Segmentation of the file's own study; Declined says why there can be none."""
    try:
        study = reference.read(path)
    except reference.NoReference as error:
        raise Declined(422, str(error)) from None
    _, answer = _scored(predictor, path)
    assert answer.map is not None
    mask = _cut(predictor, answer.map, at)
    if not mask.any():
        raise Declined(422, "nothing is outlined, so there is nothing to write")
    note = "" if at == answer.level else f"mask threshold {at / 255:.2f}, set by the reader"
    buffer = BytesIO()
    dicom_segmentation.make(study, mask, author, note).save_as(buffer)
    return buffer.getvalue()


def finding(mask: NDArray[np.bool_], facts: Facts) -> dict[str, Any]:
    """A mask (H, W) as its `outline`, an SVG path in the picture's pixels, its `area_px`, `area_mm2` and `side`."""
    return {"outline": outline(mask), **asdict(measure(mask, facts))}


def level(predictor: Predictor, answer: Prediction) -> int:
    """Level at which the rule cuts this image's map, or would if the image were certain."""
    if answer.level < NOTHING or answer.map is None:
        return answer.level
    certain = int(predictor.decision.rule.thresholds(one_image(1.0, answer.map))[0])
    return certain if certain < NOTHING else MIDDLE


def _scored(predictor: Predictor, path: Path) -> tuple[Facts, Prediction]:
    scored: Scored = next(iter(predictor.files([path], cascade=False)))
    if scored.refusal:
        raise scored.refusal
    assert scored.facts is not None
    assert scored.answer is not None
    return scored.facts, scored.answer


def _cut(predictor: Predictor, levels: NDArray[np.uint8], at: int) -> NDArray[np.bool_]:
    return predictor.decision.post_processing(levels >= at)
