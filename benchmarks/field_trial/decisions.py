"""From networks' outputs to a decision for each judged study: the project's, and the ordinary loop's grid."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.field_trial.cohorts import Cohort
from ensemble.decision import crossfit
from ensemble.evidence.evidence import Cases, Evidence, concatenate
from ensemble.evidence.gather import counts
from ensemble.evidence.histograms import NOTHING, resized
from ensemble.evidence.mask_average import MaskEnsemble
from ensemble.metrics import auroc
from experiments.settings.decision import EnsembleSettings
from experiments.statistics.arrays import Floats, Ints
from experiments.statistics.nested_score import patient_groups
from imaging import rle
from imaging.map_levels import encode
from imaging.prepared import Prepared

MODEL = "network"
MASKS = MaskEnsemble(weights={MODEL: 1.0})
REFERENCE = 1024 * 1024
GRID_SCORES = 24
GRID_AREAS = (1, 300, 600, 1000, 1500, 2500, 4000, 8000)
GRID_LEVELS = tuple(map(int, encode(np.linspace(0.1, 0.8, 8))))


@dataclass(frozen=True)
class Predicted:
    """Outputs of one fold's networks for some rows."""

    rows: NDArray[np.int64]
    prob: Floats
    """Of the image; without a classifier pooled from the map (segmentation.pooled)."""
    maps: NDArray[np.uint8]
    """Levels."""


def cases_of(prepared: Prepared, fold: int, found: Predicted) -> Cases:
    """The evidence of the images at their original resolution, with their truth."""
    index = prepared.index.iloc[found.rows]
    ids = index["image_id"].astype(str).to_numpy(object)
    totals, hits = np.zeros((2, len(ids), NOTHING + 1), np.int32)
    shapes = zip(index["height"].astype(int), index["width"].astype(int), strict=True)
    for i, (image_id, level, shape) in enumerate(zip(ids, found.maps, shapes, strict=True)):
        totals[i], hits[i] = counts(resized(level, shape), prepared.truth.get(image_id, rle.EMPTY))
    prob, agreement = np.asarray(found.prob, np.float64), np.ones(len(ids))
    return Cases(
        evidence=Evidence(prob=prob, raw=prob, members=prob[:, None], above=totals, agreement=agreement),
        hit=hits,
        fold=np.full(len(ids), fold),
        patient=index["patient_id"].astype(str).to_numpy(object),
        image_id=ids,
    )


def decide(
    cohort: Cohort,
    fit: list[Cases],
    judged: list[Cases],
    settings: EnsembleSettings | None,
    classifier: bool = True,
) -> tuple[pd.DataFrame, str]:
    """One row a judged study, and what was decided by.

    settings None: the ordinary loop's grid. classifier: whether there is one.
    """
    names = [MODEL] * classifier
    fitted, seen = concatenate(fit), concatenate(judged)
    nested = cohort.fit is cohort.judged
    if settings is None:
        level, name = (_nested_grid(seen) if nested else _grid(fitted, seen)), "grid"
        raw = calibrated = prob = seen.evidence.raw
    elif nested:
        kinds = _kinds(settings)
        found = crossfit.nested(seen, names, kinds, lambda train: (MASKS, seen), settings)
        name = _best(kinds, found.levels, found.cases)
        level, raw, calibrated, prob = found.levels[name], found.raw, found.calibrated, found.prob
    else:
        kinds = _kinds(settings)
        name = kinds[0]
        if len(kinds) > 1:
            tried = crossfit.nested(fitted, names, kinds, lambda train: (MASKS, fitted), settings)
            name = _best(kinds, tried.levels, tried.cases)
        decision = crossfit.fit(fitted, names, [name], MASKS, settings)[0][name]
        level, prob = crossfit.apply(decision, seen)
        raw, calibrated = seen.evidence.raw, decision.calibrator(seen.evidence.raw)
    table = pd.DataFrame(
        {
            "image_id": seen.image_id, "patient_id": seen.patient, "label": seen.label.astype(int), "raw": raw,
            "calibrated": calibrated, "prob": prob, "submitted": level < NOTHING, "dice": seen.dice_at(level),
        }
    )  # fmt: skip
    table["any_dice"] = seen.dice[:, 128]  # of the map cut at one half, without a gate
    return table.sort_values("image_id").reset_index(drop=True), name


def pixel_aurocs(prepared: Prepared, rows: NDArray[np.int64], maps: NDArray[np.float32]) -> dict[str, float]:
    """By image: the AUROC of its map (s, s) over its pixels, inside its mask against outside, at the map's size. Images without a
    mask are left out.

    It does not depend on how images rank among each other, which the exposure alone may explain in part. Maps are not rounded:
    below the lowest level all pixels would be alike."""
    found = {}
    for row, one in zip(rows, maps, strict=True):
        mask = (
            cv2.resize(prepared.mask(int(row)) * np.uint8(255), one.shape, interpolation=cv2.INTER_AREA)
            >= 128
        )
        if mask.any() and not mask.all():
            found[str(prepared.index["image_id"].iloc[row])] = auroc(mask.ravel(), one.ravel())
    return found


def _kinds(settings: EnsembleSettings) -> list[str]:
    return ["gate", "triplet", "expected_value"] if settings.rule == "best" else [settings.rule]


def _best(kinds: list[str], levels: dict[str, Ints], cases: Cases) -> str:
    return max(kinds, key=lambda kind: cases.score(levels[kind]))


def _nested_grid(cases: Cases) -> Ints:
    """Levels (N,); those of each group of patients by the grid's best on the others."""
    group = patient_groups(cases.patient)
    level = np.zeros(len(cases), np.int64)
    for number in np.unique(group):
        level[group == number] = _grid(cases.take(group != number), cases.take(group == number))
    return level


def _grid(fit: Cases, judged: Cases) -> Ints:
    """Levels (N,) of `judged` by the best score threshold, least area and level on `fit`, or by submitting nothing."""
    cuts = np.quantile(fit.evidence.raw, np.linspace(0, 1, GRID_SCORES))
    best, chosen = fit.score(np.full(len(fit), NOTHING)), None
    for cut, area, level in product(cuts, GRID_AREAS, GRID_LEVELS):
        score = fit.score(_cut(fit, cut, area, level))
        if score > best:
            best, chosen = score, (cut, area, level)
    return np.full(len(judged), NOTHING) if chosen is None else _cut(judged, *chosen)


def _cut(cases: Cases, cut: float, area: int, level: int) -> Ints:
    certain = (cases.evidence.raw >= cut) & (cases.evidence.area(level, REFERENCE) >= area)
    return np.where(certain, level, NOTHING)
