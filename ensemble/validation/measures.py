"""Measures of a bundle on other data: as on the hold-out, their differences from it, and separately for images with a tube."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ensemble.decision.operating_points import OperatingPoint
from ensemble.evaluation import holdout_metrics
from ensemble.evaluation.holdout_metrics import Measure, Measured, as_measure, mean_of
from experiments.statistics import intervals
from experiments.statistics.arrays import Bools, Floats
from experiments.statistics.bootstrap import PatientDraws
from experiments.statistics.influence import auroc_influence

NEED_ALL_MASKS = ("kaggle_dice", "miou", "mdice")
"""Measures that do not exist when some positive image has a label and no mask."""


TUBE_PAIRS = {
    "both with a tube": (1, 1),
    "both without": (0, 0),
    "positives without, negatives with a tube (worst case)": (0, 1),
    "positives with, negatives without (flattering)": (1, 0),
}
"""Comparison -> whether positives and negatives have a tube."""


def with_labels(table: pd.DataFrame, label: NDArray[np.int64], annotated: Bools) -> pd.DataFrame:
    """The table of images under the data's own labels; Dice, IoU and true area are NaN where the mask is not known.

    table: of `per_image`, for which an image without a mask is a negative; label, annotated: (N,) in its order.
    """
    shown = table.assign(label=label)
    for name in ("dice", "iou", "true_area", "true_share"):
        shown[name] = shown[name].astype(np.float64).where(annotated)
    return shown


def measure(table: pd.DataFrame, draws: PatientDraws, bins: int) -> Measured:
    """As `holdout_metrics.measure`: measures of masks are of the images whose mask is known; those of all masks together are None
    where some mask is not."""
    found = holdout_metrics.measure(table, draws, bins)
    if table["dice"].notna().all():
        return found
    return found | {name: as_measure(math.nan, math.nan, math.nan) for name in NEED_ALL_MASKS}


def difference(here: Measure, there: Measure) -> Measure:
    """`here` minus `there`, for different patients, with the interval recovered from both (MOVER, Zou & Donner 2008).

    d - sqrt((a - a_low)^2 + (b_high - b)^2) to d + sqrt((a_high - a)^2 + (b - b_low)^2), which keeps both intervals' asymmetry.
    """
    names = ("value", "low", "high")
    a, a_low, a_high = (_number(here.get(name)) for name in names)
    b, b_low, b_high = (_number(there.get(name)) for name in names)
    low, high = math.hypot(a - a_low, b_high - b), math.hypot(a_high - a, b - b_low)
    return as_measure(a - b, a - b - low, a - b + high)


def drop(here: Measured, holdout: Mapping[str, Measure]) -> pd.DataFrame:
    """One row per measure that both have: measure, and value, low, high of the hold-out, of here and of the difference."""
    rows = []
    for name in here:
        there = holdout.get(name)
        if there is None or there["value"] is None or here[name]["value"] is None:
            continue
        row: dict[str, object] = {"measure": name}
        for side, one in (
            ("holdout", there),
            ("here", here[name]),
            ("difference", difference(here[name], there)),
        ):
            row |= {f"{side}_{end}": one[end] for end in ("value", "low", "high")}
        rows.append(row)
    return pd.DataFrame(rows)


def by_tube(
    table: pd.DataFrame, drain: Floats, points: Sequence[OperatingPoint], draws: PatientDraws
) -> pd.DataFrame:
    """Sensitivity and specificity of each operating point with and without a tube, and the difference with minus without, by
    patient.

    One row for each point and measure: point, measure, and for each of `with`, `without` value, low, high, images; difference
    with its interval: images of one patient in both groups are taken as pairs. Images whose tube is not known are left out.
    """
    label, prob = table["label"].to_numpy(bool), table["prob"].to_numpy(np.float64)
    submitted, rows = table["submitted"].to_numpy(bool), []
    for point in points:
        flagged = point.flagged(prob, submitted)
        for name, right, kind in (("sensitivity", flagged, label), ("specificity", ~flagged, ~label)):
            row = _tube_row(right.astype(np.float64), kind & (drain == 1), kind & (drain == 0), draws)
            rows.append({"point": point.name, "measure": name} | row)
    return pd.DataFrame(rows)


def auroc_by_tube(table: pd.DataFrame, drain: Floats, draws: PatientDraws) -> pd.DataFrame:
    """AUROC of positives against negatives, each with or without a tube: comparison, value, low, high, positives, negatives.

    A network that finds tubes ranks negatives with a tube above positives without one: that comparison is its worst case, and
    positives with a tube against negatives without one its best. Images whose tube is not known are left out.
    """
    label, prob = table["label"].to_numpy(bool), table["prob"].to_numpy(np.float64)
    rows = []
    for name, (positive, negative) in TUBE_PAIRS.items():
        inside = (label & (drain == positive)) | (~label & (drain == negative))
        value, share = auroc_influence(label, prob, inside)
        fewest = min(draws.patients(inside & label), draws.patients(inside & ~label))
        error = math.sqrt(float(np.sum(draws.by_patient(share) ** 2)) * fewest / max(fewest - 1, 1))
        ends = as_measure(value, *intervals.logit_interval(value, error, fewest))
        counts = {"positives": int((inside & label).sum()), "negatives": int((inside & ~label).sum())}
        rows.append({"comparison": name, **ends, **counts})
    return pd.DataFrame(rows)


def _tube_row(right: Floats, with_tube: Bools, without: Bools, draws: PatientDraws) -> dict[str, object]:
    row: dict[str, object] = {}
    for side, inside in (("with", with_tube), ("without", without)):
        one = mean_of(right, inside, draws)
        row |= {f"{side}_{end}": one[end] for end in ("value", "low", "high")} | {
            f"{side}_images": int(inside.sum())
        }
    ends = as_measure(math.nan, math.nan, math.nan)
    if with_tube.any() and without.any():
        samples = draws.ratio(right * with_tube, with_tube) - draws.ratio(right * without, without)
        gap = right[with_tube].mean() - right[without].mean()
        patients = draws.patients(with_tube | without)
        ends = as_measure(gap, *_gap_ends(float(gap), samples, patients))
    return row | {f"difference_{end}": ends[end] for end in ("value", "low", "high")}


def _gap_ends(gap: float, samples: Floats, patients: int) -> tuple[float, float]:
    """Interval of a difference of two rates; without any variation that of a rate of 0, which is not certain either."""
    error = intervals.standard_error(samples, patients)
    if error > 0:
        low, high = intervals.plain_interval(gap, error, patients)
        return max(low, -1.0), min(high, 1.0)
    width = intervals.score_interval(0.0, 0.0, patients)[1]
    return max(gap - width, -1.0), min(gap + width, 1.0)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
