"""The table of images: for each one its facts, its probabilities, what was submitted, and its Dice."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ensemble import metrics
from ensemble.decision import crossfit
from ensemble.decision.decision import Decision
from ensemble.evidence.evidence import Cases
from ensemble.evidence.gather import original_maps
from ensemble.evidence.histograms import NOTHING
from ensemble.evidence.predictions import Predictions
from imaging import rle
from imaging.prepared import Prepared


def per_image(decision: Decision, cases: Cases, found: Predictions, prepared: Prepared) -> pd.DataFrame:
    """One row per image: its facts, its probabilities, what was submitted, and its Dice.

    `dice`, `iou`, `true_area` and `true_share` are NaN where they are undefined: for a positive whose mask is not known, and
    for all images without segmentation networks. `box_hit`, where there are boxes: whether the map's highest pixel lies in one.
    """
    level, prob = crossfit.apply(decision, cases)
    rows = prepared.index.iloc[prepared.rows(cases.image_id)].reset_index(drop=True)
    predicted = cases.evidence.above[np.arange(len(cases)), level].astype(np.int64)
    dice = cases.dice_at(level)
    if not decision.post_processing.idle:
        predicted, dice = post_processed(decision, level, predicted, dice, cases, found, prepared)
    has_dice = cases.has_mask & bool(decision.masks.weights)
    table = pd.DataFrame(
        {
            "image_id": cases.image_id,
            "patient_id": cases.patient,
            "sex": rows["sex"],
            "age": rows["age"],
            "view": rows["view"],
            "label": cases.label.astype(int),
            "raw": cases.evidence.raw,
            "calibrated": decision.calibrator(cases.evidence.raw),
            "prob": prob,
            "skipped": crossfit.skipped(decision, cases),
            "submitted": predicted > 0,
            "level": level,
            "true_area": cases.hit[:, 0],
            "predicted_area": predicted,
            "pixels": cases.evidence.pixels,
            "true_share": cases.hit[:, 0] / cases.evidence.pixels,
            "agreement": cases.evidence.agreement,
            "dice": dice,
            "iou": metrics.iou_of_dice(dice),
            **({"source": rows["source"]} if "source" in rows else {}),
        }
    )
    if not has_dice.all():
        table.loc[~cases.has_mask, ["true_area", "true_share"]] = np.nan
        table.loc[~has_dice, ["dice", "iou"]] = np.nan
    boxes = prepared.boxes[prepared.boxes.index.isin(cases.image_id)]
    if len(boxes) and decision.masks.weights:
        table["box_hit"] = box_hits(boxes, decision, found, prepared).reindex(table["image_id"]).to_numpy()
    return table


def box_hits(boxes: pd.Series, decision: Decision, found: Predictions, prepared: Prepared) -> pd.Series:
    """image id -> 1.0 if the highest pixel of its map lies in one of its boxes, else 0.0 (the pointing game, Zhang 2018); an
    empty map hits nothing. boxes: image id -> their area as a run-length code.
    """
    hits = {}
    for image_id, pixels, _ in original_maps(found, decision.masks, prepared, set(boxes.index)):
        highest = np.unravel_index(np.argmax(pixels), pixels.shape)
        inside = rle.decode(boxes[image_id], pixels.shape)
        hits[image_id] = float(pixels.any() and inside[highest])
    return pd.Series(hits, dtype=float)


def post_processed(
    decision: Decision,
    level: NDArray[np.int64],
    predicted: NDArray[np.int64],
    dice: NDArray[np.float64],
    cases: Cases,
    found: Predictions,
    prepared: Prepared,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Area and Dice (N,) after post-processing, which needs the submitted masks' pixels."""
    place = {image_id: i for i, image_id in enumerate(cases.image_id)}
    submitted = {image_id for image_id, i in place.items() if level[i] < NOTHING}
    predicted, dice, truth = (
        predicted.copy(),
        dice.copy(),
        prepared.truth[prepared.truth.index.isin(submitted)],
    )
    for image_id, pixels, _ in original_maps(found, decision.masks, prepared, submitted):
        i = place[image_id]
        mask = decision.post_processing(pixels >= level[i])
        predicted[i] = np.count_nonzero(mask)
        if image_id in truth.index:
            dice[i] = metrics.kaggle_dice(mask, rle.decode(truth[image_id], pixels.shape))
    return predicted, dice
