"""What the page displays of one file: the radiograph, the ensemble's map, the prediction; and the same map cut elsewhere."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, PositiveFloat, ValidationError

from ensemble.app.encoding import displayed, outline, png
from ensemble.app.upload import Declined
from ensemble.decision.decision import Decision, Prediction
from ensemble.evidence.histograms import NOTHING
from ensemble.evidence.mask_average import Maps
from ensemble.inference.findings import measure
from ensemble.rules.base import one_image
from imaging import map_levels
from imaging.decoding.radiograph import Facts
from imaging.dicom_objects import reference
from imaging.dicom_objects.reference import Author
from imaging.formats import reader


class Geometry(BaseModel):
    """The facts that area and side are computed from; the page returns it with a map, since the server keeps nothing."""

    spacing_mm: tuple[PositiveFloat, PositiveFloat] | None
    view: str | None
    orientation: tuple[str, ...]


@dataclass(frozen=True)
class Outputs:
    """The networks' outputs for one image."""

    probs: dict[str, list[float]]
    """Of each classifier, or without them of each mask model, the probability of every fold's network."""
    maps: Maps
    """Of each mask model and fold, the map uint8 (s, s)."""

    def pack(self) -> tuple[dict[str, Any], bytes]:
        """As JSON and bytes."""
        levels = [(name, fold, level) for name, folds in self.maps.items() for fold, level in folds.items()]
        header = {
            "probs": self.probs,
            "maps": [[name, fold, *level.shape] for name, fold, level in levels],
        }
        return header, b"".join(level.tobytes() for _, _, level in levels)

    def turned(self, turns: int) -> Outputs:
        """With the maps turned by this number of counter-clockwise quarter turns."""
        maps = {
            name: {fold: np.ascontiguousarray(np.rot90(level, turns)) for fold, level in folds.items()}
            for name, folds in self.maps.items()
        }
        return Outputs(self.probs, maps)

    @classmethod
    def unpack(cls, header: dict[str, Any], body: bytes) -> Outputs:
        """The inverse of `pack`."""
        maps: dict[str, dict[int, NDArray[np.uint8]]] = {}
        start = 0
        for name, fold, height, width in header["maps"]:
            level = np.frombuffer(body, np.uint8, height * width, start).reshape(height, width)
            maps.setdefault(name, {})[fold] = level
            start += height * width
        return cls(header["probs"], maps)


NO_MASKS = "this bundle was trained on image-level labels: it draws no mask"


def read(
    decision: Decision, path: Path, facts: Facts, outputs: Outputs, objects: str, warning: str = ""
) -> dict[str, Any]:
    """All about one file. objects: why no DICOM object can be written, if so. warning: the bundle's.

    `picture`, `depth`: see encoding.displayed. `map`: the mask ensemble's levels as a grey PNG of the original's size. `level`:
    where the rule cuts this map, or would. `finding`: the rule's mask, see `finding`. `region`: the map cut at `level` whatever
    the rule decides. `warnings`: why the prediction may not hold; `warning`: the same in one text, behind the bundle's.
    `no_object`: why there can be no DICOM Segmentation. It holds nothing about the patient.
    """
    prediction, levels = _predicted(decision, facts, outputs)
    at = level(decision, prediction, levels)
    submitted = finding(prediction.mask, facts)
    region = submitted if at == prediction.level else finding(_cut(decision, levels, at), facts)
    return {
        **displayed(reader.read(path).pixels),
        "width": facts.width,
        "height": facts.height,
        "view": facts.view,
        "notes": [*facts.notes, *[NO_MASKS] * (not decision.masks.weights)],
        "warnings": list(facts.warnings),
        "warning": "; ".join([*[warning] * bool(warning), *facts.warnings]),
        "no_object": no_object(path, facts, objects if decision.masks.weights else NO_MASKS),
        "map": png(levels),
        "geometry": Geometry.model_validate(facts, from_attributes=True).model_dump_json(),
        "oriented": bool(facts.orientation),
        "prob": prediction.prob,
        "needed": prediction.needed,
        "reason": prediction.reason,
        "level": at,
        "finding": submitted,
        "region": region,
    }


def cut(decision: Decision, path: Path, at: int, geometry: str) -> dict[str, Any]:
    """The finding of a map, a PNG file as `read` gives it, cut at a level; geometry as `read` gives it."""
    levels = reader.read(path).pixels
    if levels.dtype != np.uint8:
        raise Declined(422, "a map has 8 bits")
    try:
        facts = Facts(*levels.shape, **Geometry.model_validate_json(geometry).model_dump())
    except ValidationError:
        raise Declined(400, "geometry is not what the server gave with this map") from None
    return finding(_cut(decision, np.asarray(levels, np.uint8), at), facts)


def segmentation(
    decision: Decision, author: Author, path: Path, facts: Facts, outputs: Outputs, at: int
) -> bytes:
    """The map cut at a level as a DICOM Segmentation of the file's own study; Declined says why there can be none."""
    from imaging.dicom_objects import (
        segmentation as dicom_segmentation,  # imports a library that takes a second
    )

    try:
        study = reference.read(path)
    except reference.NoReference as error:
        raise Declined(422, str(error)) from None
    if facts.spacing_changed:
        reference.set_spacing(study, facts.spacing_mm)
    prediction, levels = _predicted(decision, facts, outputs)
    mask = _cut(decision, levels, at)
    if not mask.any():
        raise Declined(422, "nothing is outlined, so there is nothing to write")
    fitted = at == level(decision, prediction, levels)
    notes = [] if fitted else [f"mask threshold {map_levels.label(at)}, set by the reader"]
    note = "   ".join([*notes, *facts.warning_codes])
    buffer = BytesIO()
    dicom_segmentation.make(study, mask, author, note).save_as(buffer)
    return buffer.getvalue()


def no_object(path: Path, facts: Facts, objects: str) -> str:
    """Why no DICOM object can be written about a file; empty where one can."""
    if objects:
        return objects
    if facts.sop_class is None:
        return "only a DICOM file belongs to a study that an object can refer to"
    try:
        reference.read(path)
    except reference.NoReference as error:
        return str(error)
    return ""


def finding(mask: NDArray[np.bool_], facts: Facts) -> dict[str, Any]:
    """A mask (H, W) as its `outline`, an SVG path in the picture's pixels, its `area_px`, `area_mm2` and `side`."""
    return {"outline": outline(mask), **asdict(measure(mask, facts))}


def level(decision: Decision, prediction: Prediction, levels: NDArray[np.uint8]) -> int:
    """Level at which the rule cuts this image's map, or would if the image were certain; one half where it would cut nowhere."""
    if prediction.level < NOTHING:
        return prediction.level
    certain = int(decision.rule.thresholds(one_image(1.0, levels))[0])
    return certain if certain < NOTHING else map_levels.HALF


def _predicted(decision: Decision, facts: Facts, outputs: Outputs) -> tuple[Prediction, NDArray[np.uint8]]:
    """The prediction and its map uint8 (H, W) at the file's own size."""
    shape = facts.height, facts.width
    prediction = decision.predict(outputs.probs, outputs.maps, shape)
    # mask networks see every image here; a bundle of image-level labels has none, and its map is empty
    return prediction, np.zeros(shape, np.uint8) if prediction.map is None else prediction.map


def _cut(decision: Decision, levels: NDArray[np.uint8], at: int) -> NDArray[np.bool_]:
    return decision.post_processing(levels >= at)
