"""All images' lesion measures with intervals over patients, as entries of metrics.json and as a section of the report."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from ensemble.evaluation.holdout_metrics import Measured, as_measure, mean_of
from ensemble.evaluation.lesions import detection
from ensemble.evaluation.lesions.detection import RATES, Match
from ensemble.evaluation.wording import LESION_NAMES
from experiments.statistics import intervals
from experiments.statistics.arrays import Bools, Floats, Ints
from experiments.statistics.bootstrap import PatientDraws


def measure(
    rows: pd.DataFrame, candidates: list[Match], draws: PatientDraws
) -> tuple[Measured, dict[str, int]]:
    """Each of LESION_NAMES with its interval, and the number of images (or lesions) behind it; rows as `per_image` gives them."""
    lesions = rows["lesions"].to_numpy(np.int64)
    positive = lesions > 0
    drawn = positive & (rows["predicted_half"] != "").to_numpy()
    known = positive & rows["surface_dice"].notna().to_numpy()
    sized = drawn & (rows["true_mm2"].notna()).to_numpy()
    true = rows["true_mm2"].to_numpy(np.float64)
    error = np.where(sized, rows["predicted_mm2"].to_numpy(np.float64) - true, 0.0)
    relative = np.divide(error, true, out=np.zeros(len(rows)), where=sized)
    far = np.nan_to_num(rows["hd95_mm"].to_numpy(np.float64))
    everything = np.ones(len(rows), bool)
    right = (rows["true_half"] == rows["predicted_half"]).to_numpy().astype(np.float64)
    measured = {
        "surface_dice_2mm": mean_of(rows["surface_dice"].fillna(0).to_numpy(np.float64), known, draws),
        "hd95_mm": mean(far, sized, draws, positive=True),
        "side_accuracy": mean_of(right, drawn, draws),
        "size_error_mm2": mean(error, sized, draws),
        "size_error_relative": mean(relative, sized, draws),
        "size_error_absolute": mean(np.abs(relative), sized, draws, positive=True),
        "lesion_sensitivity": rate(rows["lesions_found"].to_numpy(), lesions, draws),
        "false_lesions_per_image": mean(
            rows["false_lesions"].to_numpy(np.float64), everything, draws, positive=True
        ),
    }
    if not rows["false_lesions"].any():  # exact for no event, a patient counted once: Poisson's upper limit
        measured["false_lesions_per_image"] = as_measure(
            0.0, 0.0, -math.log(0.025) / max(draws.patients(), 1)
        )
    curve = detection.froc(candidates)
    for key, at in zip([name for name in LESION_NAMES if name.startswith("froc")], RATES, strict=True):
        threshold = detection.threshold_at(curve, at)
        hits = np.array([np.count_nonzero(one.found >= threshold) for one in candidates])
        measured[key] = rate(hits, lesions, draws)
    number = {"surface_dice_2mm": known, "side_accuracy": drawn, "false_lesions_per_image": everything}
    counts = {name: int(number.get(name, sized).sum()) for name in LESION_NAMES}
    for name in LESION_NAMES:
        if name.startswith("froc") or name == "lesion_sensitivity":
            counts[name] = int(lesions.sum())
    return measured, counts


def mean(
    values: Floats, inside: Bools, draws: PatientDraws, positive: bool = False
) -> dict[str, float | None]:
    """Mean of the images `inside` with a t interval over patients, on the log scale where values are positive."""
    if not inside.any():
        return as_measure(math.nan, math.nan, math.nan)
    value, patients = float(values[inside].mean()), draws.patients(inside)
    error = intervals.standard_error(draws.ratio(values * inside, inside), patients)
    form = intervals.log_interval if positive else intervals.plain_interval
    return as_measure(value, *form(value, error, patients))


def rate(hits: Ints, of: Ints, draws: PatientDraws) -> dict[str, float | None]:
    """Σ hits / Σ of over images, e.g. of lesions, with Wilson's interval at the effective number."""
    if not of.any():
        return as_measure(math.nan, math.nan, math.nan)
    value, patients = float(hits.sum() / of.sum()), draws.patients(of > 0)
    error = intervals.standard_error(draws.ratio(hits.astype(float), of.astype(float)), patients)
    return as_measure(value, *intervals.score_interval(value, error, patients))


def to_markdown(measured: Measured, counts: Mapping[str, int]) -> list[str]:
    """The section `Lesions` of the report."""
    lines = [
        "## Lesions",
        "",
        "Submitted masks at the original resolution. Contours and sizes need the pixel spacing. Empty masks: a "
        "lesion without a mask is missed and has a surface Dice of 0; its Hausdorff distance, side and size error "
        "are undefined (n says how many count); an image with neither lesion nor mask counts only for the false "
        "positives. A lesion is a connected part of the annotation, found if a connected part of the prediction "
        f"overlaps it with an IoU of at least {detection.LEAST_IOU:g}. FROC: connected parts of the probability map "
        "at one half, scored by the image's probability times the part's highest value; its thresholds are chosen "
        "on these images. Side: halves of the image; `both` if a fifth of the area lies in the other half.",
        "",
        "| measure | mean (95 % interval) | n |",
        "|---|---|---|",
    ]
    for key, name in LESION_NAMES.items():
        unit = "lesions" if key.startswith(("froc", "lesion")) else "images"
        lines.append(f"| {name} | {in_words(measured[key])} | {counts[key]:,} {unit} |")
    return [*lines, "", "![Free-response curve](froc.png)", ""]


def in_words(measure: Mapping[str, float | None]) -> str:
    """`0.87 (0.84 to 0.90)`, whole numbers from 100 on; a dash where it is undefined."""
    if measure["value"] is None:
        return "–"
    largest = max(abs(end) for end in measure.values() if end is not None)
    form = ",.0f" if largest >= 100 else ".1f" if largest >= 10 else ".3f"
    if measure["low"] is None or measure["high"] is None:
        return f"{measure['value']:{form}}"
    return f"{measure['value']:{form}} ({measure['low']:{form}} to {measure['high']:{form}})"
