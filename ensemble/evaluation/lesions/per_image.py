"""The masks of one image measured against its outline, and the table of all images.

Empty masks, one rule for all: an image without a lesion and without a mask counts only for the false positives; a lesion
without a mask is missed, with a surface Dice of 0, and its Hausdorff distance, side and size error are undefined.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ensemble.decision.decision import Decision
from ensemble.evaluation.lesions import detection, surface
from ensemble.evaluation.lesions.detection import Match
from ensemble.evidence.gather import original_maps
from ensemble.evidence.histograms import NOTHING, Levels
from ensemble.evidence.predictions import Predictions
from experiments.statistics.arrays import Bools
from imaging import rle
from imaging.io.threads import cores, ordered_map
from imaging.prepared import Prepared

BOTH_FROM = 0.2
"""Share of the area in the other half of the image from which a mask counts as on both sides, as in predictions."""


@dataclass(frozen=True)
class Measured:
    """One image: its row of the table, and its connected parts for the FROC."""

    row: dict[str, object]
    candidates: Match


def half(mask: Bools) -> str:
    """The half of the image in which a mask, not empty, lies: `left`, `right` or `both`."""
    count = mask.sum(axis=0)
    middle = len(count) // 2
    left, right = int(count[:middle].sum()), int(count[len(count) - middle :].sum())
    if min(left, right) >= BOTH_FROM * (left + right):
        return "both"
    return "left" if left > right else "right"


def measure(predicted: Bools, true: Bools, candidates: Match, spacing: float) -> dict[str, object]:
    """The row of one image from its masks bool (H, W); spacing in mm per pixel, NaN where unknown."""
    found = detection.match(predicted, true)
    row: dict[str, object] = {
        "lesions": len(found.found),
        "lesions_found": found.hits,
        "false_lesions": len(found.false),
        "candidates": len(candidates.false) + candidates.hits,
        "surface_dice": np.nan,
        "hd95_mm": np.nan,
        "true_half": half(true) if true.any() else "",
        "predicted_half": half(predicted) if predicted.any() else "",
        "true_mm2": np.count_nonzero(true) * spacing**2,
        "predicted_mm2": np.count_nonzero(predicted) * spacing**2,
    }
    if true.any() and predicted.any() and np.isfinite(spacing):
        there, back = surface.distances(predicted, true, spacing)
        row |= {"surface_dice": surface.surface_dice(there, back), "hd95_mm": surface.hd95(there, back)}
    elif true.any() and np.isfinite(spacing):
        row["surface_dice"] = 0.0
    return row


def per_image(
    table: pd.DataFrame, decision: Decision, found: Predictions, prepared: Prepared
) -> tuple[pd.DataFrame, list[Match]]:
    """A row for each image of `table` (image_id, level, skipped, prob), and its candidates scored prob · highest map value."""
    facts = table.set_index("image_id")
    spacing = prepared.index.iloc[prepared.rows(facts.index)]["spacing_mm"].to_numpy(np.float64)
    mm = dict(zip(facts.index, np.where(spacing > 0, spacing, np.nan), strict=True))
    truth = prepared.truth[prepared.truth.index.isin(facts.index)]

    def one(item: tuple[str, Levels, float]) -> Measured:
        image_id, level, _ = item
        cut, skipped = int(facts["level"][image_id]), bool(facts["skipped"][image_id])
        nothing = np.zeros(level.shape, np.bool_)
        predicted = decision.post_processing(level >= cut) if cut < NOTHING else nothing
        true = rle.decode(truth[image_id], level.shape)
        drawn = nothing if skipped else level >= detection.CANDIDATE_LEVEL
        matched = detection.match(drawn, true, level)
        prob = float(facts["prob"][image_id])
        candidates = Match(matched.found * prob, matched.false * prob)
        return Measured(
            {"image_id": image_id} | measure(predicted, true, candidates, mm[image_id]), candidates
        )

    maps = original_maps(found, decision.masks, prepared, list(facts.index))
    measured = list(ordered_map(one, maps, cores()))
    rows = pd.DataFrame([each.row for each in measured])
    return rows, [each.candidates for each in measured]
