"""The hold-out's figures, each with its 95 % interval over patients: reports/evaluation/metrics.json."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ensemble import metrics
from experiments.statistics.bootstrap import PatientDraws, with_interval

Measured = dict[str, dict[str, float | None]]


def measure(table: pd.DataFrame, draws: PatientDraws, bins: int) -> Measured:
    """All figures from the table of images: ranking, overlap, score and its parts."""
    label, dice, prob = table["label"].to_numpy(bool), table["dice"].to_numpy(), table["prob"].to_numpy()
    raw = table["raw"].to_numpy()
    parts, ranks = metrics.breakdown(dice, label), draws.rank_measures(label, prob)
    iou = float(np.mean(table["iou"].to_numpy()[label])) if label.any() else float("nan")
    sensitivity = "sensitivity_at_95_specificity"
    return {
        "kaggle_dice": with_interval(parts.score, draws.mean(dice)),
        "tnr": with_interval(parts.tnr, draws.ratio(dice * ~label, ~label)),
        "dice_positive": with_interval(parts.dice_positive, draws.ratio(dice * label, label)),
        "prevalence": with_interval(parts.prevalence, draws.mean(label)),
        "all_empty": with_interval(parts.all_empty, draws.mean(~label)),
        "auroc": with_interval(metrics.auroc(label, prob), ranks["auroc"]),
        "average_precision": with_interval(
            metrics.average_precision(label, prob), ranks["average_precision"]
        ),
        "ece": with_interval(
            metrics.expected_calibration_error(label, prob, bins), draws.calibration_error(label, prob, bins)
        ),
        "ece_before": with_interval(
            metrics.expected_calibration_error(label, raw, bins), draws.calibration_error(label, raw, bins)
        ),
        sensitivity: with_interval(metrics.sensitivity_at_specificity(label, prob), ranks[sensitivity]),
        "iou_positive": with_interval(iou, draws.ratio(table["iou"].to_numpy() * label, label)),
        **dataset_level(table, draws),
    }


def dataset_level(table: pd.DataFrame, draws: PatientDraws) -> Measured:
    """mIoU and mDice as mmsegmentation's IoUMetric has them: pixels of all images pooled, then the mean over background and
    finding. Large lesions weigh most; a missed small one hardly counts."""
    said, true, pixels = (
        table[name].to_numpy(np.float64) for name in ("predicted_area", "true_area", "pixels")
    )
    both = np.rint(table["dice"].to_numpy() * (said + true) / 2)
    union = said + true - both
    classes = {
        "miou": [(both, union), (pixels - union, pixels - both)],
        "mdice": [(2 * both, said + true), (2 * (pixels - union), 2 * pixels - said - true)],
    }
    return {
        name: with_interval(
            float(np.mean([part.sum() / whole.sum() if whole.any() else np.nan for part, whole in of])),
            np.mean([draws.ratio(part, whole) for part, whole in of], axis=0),
        )
        for name, of in classes.items()
    }
