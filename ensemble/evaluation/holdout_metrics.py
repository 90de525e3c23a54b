"""The hold-out's measures with 95 % intervals over patients: reports/evaluation/metrics.json.

Measures of a probability are given three times: for the final probability under their plain name, and with the suffixes of
ROWS.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from ensemble import metrics
from ensemble.evaluation import calibration_metrics
from experiments.statistics import intervals
from experiments.statistics.arrays import Bools, Floats
from experiments.statistics.bootstrap import PatientDraws

Measure = dict[str, float | None]
Measured = dict[str, Measure]

ROWS = {"_classifier": "raw", "_calibrated": "calibrated", "": "prob"}
"""Suffix of a measure's name -> the column of probabilities: the raw one (the classifiers', or the pooled mask
evidence), calibrated, and the final one."""


def measure(table: pd.DataFrame, draws: PatientDraws, bins: int, rows: Mapping[str, str] = ROWS) -> Measured:
    """All measures from the table of images; `rows`: of which probabilities.

    Measures of masks cover the images that have a `dice`, those whose mask is known; for the others it is NaN.
    """
    label, everything = table["label"].to_numpy(bool), np.ones(len(table), bool)
    dice, iou = table["dice"].to_numpy(np.float64), table["iou"].to_numpy(np.float64)
    masked = ~np.isnan(dice)
    measured = {
        "kaggle_dice": mean_of(dice, masked, draws),
        "tnr": mean_of(dice, ~label & masked, draws),
        "dice_positive": mean_of(dice, label & masked, draws),
        "prevalence": mean_of(label.astype(float), everything, draws),
        "all_empty": mean_of((~label).astype(float), masked, draws),
        "iou_positive": mean_of(iou, label & masked, draws),
        **dataset_level(table, draws),
    }
    if "box_hit" in table:
        boxed = table["box_hit"].notna().to_numpy(bool)
        measured["box_hit_rate"] = mean_of(table["box_hit"].to_numpy(np.float64), boxed, draws)
    patient = table["patient_id"].to_numpy()
    for suffix, column in rows.items():
        prob = table[column].to_numpy(np.float64)
        ranked = ranking(label, prob, draws)
        calibrated = calibration_metrics.measure(label, prob, patient, draws)
        ece = metrics.expected_calibration_error(label, prob, bins)
        parts = {**ranked, **{name: as_measure(*of) for name, of in calibrated.items()}}
        # Biased upwards in small samples: a percentile interval need not contain even the estimate itself.
        parts["ece"] = as_measure(ece, math.nan, math.nan)
        measured |= {f"{name}{suffix}": part for name, part in parts.items()}
    return measured


def mean_of(values: Floats, inside: Bools, draws: PatientDraws) -> Measure:
    """Mean in [0, 1] of the images `inside`, with Wilson's interval at the effective number of images."""
    if not inside.any():
        return as_measure(math.nan, math.nan, math.nan)
    values = np.where(inside, values, 0.0)
    value = math.fsum(values[inside]) / inside.sum()
    patients = draws.patients(inside)
    error = intervals.standard_error(draws.ratio(values * inside, inside), patients)
    return as_measure(value, *intervals.score_interval(value, error, patients))


def ranking(label: Bools, prob: Floats, draws: PatientDraws) -> Measured:
    """AUROC, average precision and sensitivity at 95 % specificity; the number of patients is that of the rarer class."""
    samples = draws.rank_measures(label, prob)
    positive, fewest = draws.patients(label), min(draws.patients(label), draws.patients(~label))
    value = {
        "auroc": (metrics.auroc(label, prob), fewest, intervals.logit_interval),
        "average_precision": (metrics.average_precision(label, prob), positive, intervals.logit_interval),
        "sensitivity_at_95_specificity": (
            metrics.sensitivity_at_specificity(label, prob),
            positive,
            intervals.score_interval,
        ),
    }
    return {
        name: as_measure(of, *form(of, intervals.standard_error(samples[name], patients), patients))
        for name, (of, patients, form) in value.items()
    }


def over_exposure(table: pd.DataFrame, exposure: Floats, draws: PatientDraws) -> Measured:
    """AUROC of the exposure alone (N,), imaging.domain.exposure, and the paired difference of the final probability from it."""
    label, prob = table["label"].to_numpy(bool), table["prob"].to_numpy(np.float64)
    fewest = min(draws.patients(label), draws.patients(~label))
    gap = metrics.auroc(label, prob) - metrics.auroc(label, exposure)
    samples = draws.rank_measures(label, prob)["auroc"] - draws.rank_measures(label, exposure)["auroc"]
    ends = np.clip(
        intervals.plain_interval(gap, intervals.standard_error(samples, fewest), fewest), -1.0, 1.0
    )
    alone = ranking(label, exposure, draws)["auroc"]
    return {"exposure_auroc": alone, "auroc_over_exposure": as_measure(gap, *ends)}


def dataset_level(table: pd.DataFrame, draws: PatientDraws) -> Measured:
    """mIoU and mDice as in mmsegmentation's IoUMetric: pixels of all images pooled, then the mean over background and finding.

    Large lesions weigh most; a missed small one hardly counts."""
    masked = table["dice"].notna().to_numpy(bool)
    table = table.assign(dice=table["dice"].fillna(0.0), true_area=table["true_area"].fillna(0))
    if not masked.any():
        return dict.fromkeys(("miou", "mdice"), as_measure(math.nan, math.nan, math.nan))
    predicted, true, pixels = (
        table[name].to_numpy(np.float64) * masked for name in ("predicted_area", "true_area", "pixels")
    )
    both = np.rint(table["dice"].to_numpy() * (predicted + true) / 2)
    union = predicted + true - both
    classes = {
        "miou": [(both, union), (pixels - union, pixels - both)],
        "mdice": [(2 * both, predicted + true), (2 * (pixels - union), 2 * pixels - predicted - true)],
    }
    measured, patients = {}, draws.patients(masked)
    for name, of in classes.items():
        value = float(np.mean([part.sum() / whole.sum() if whole.any() else np.nan for part, whole in of]))
        samples = np.mean([draws.ratio(part, whole) for part, whole in of], axis=0)
        error = intervals.standard_error(samples, patients)
        measured[name] = as_measure(value, *intervals.score_interval(value, error, patients))
    return measured


def as_measure(value: float, low: float, high: float) -> Measure:
    """`{"value", "low", "high"}`; None (null in JSON) for what is undefined."""
    ends = {"value": value, "low": low, "high": high}
    return {name: None if math.isnan(number) else float(number) for name, number in ends.items()}
