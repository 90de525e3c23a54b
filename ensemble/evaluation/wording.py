"""Names of the measures in words, and their values with intervals as text."""

from __future__ import annotations

from collections.abc import Mapping

NAMES = {
    "kaggle_dice": "Kaggle Dice",
    "tnr": "TNR: negative images left empty",
    "dice_positive": "D⁺: Dice of the positive images",
    "prevalence": "prevalence π",
    "all_empty": "score of empty masks alone, 1 − π",
    "iou_positive": "IoU of the positive images",
    "miou": "mIoU over all pixels, background and finding (as mmsegmentation)",
    "mdice": "mDice over all pixels (as mmsegmentation)",
}
"""Measures of the masks, in the report's order."""
BOX_HIT = "box hit rate: images whose map is highest inside a box (pointing game)"

LESION_NAMES = {
    "surface_dice_2mm": "surface Dice at 2 mm",
    "hd95_mm": "Hausdorff distance, 95th percentile, mm",
    "side_accuracy": "side of the finding correct",
    "size_error_mm2": "size, predicted − annotated, mm²",
    "size_error_relative": "size, predicted − annotated, relative",
    "size_error_absolute": "size, relative, absolute value",
    "lesion_sensitivity": "lesions found by the submitted masks",
    "false_lesions_per_image": "false lesions per image",
    "froc_0_125": "FROC: sensitivity at 0.125 false positives per image",
    "froc_0_25": "FROC: sensitivity at 0.25 false positives per image",
    "froc_0_5": "FROC: sensitivity at 0.5 false positives per image",
    "froc_1_0": "FROC: sensitivity at 1 false positive per image",
}
"""Measures of lesions, in the report's order; ensemble.evaluation.lesions measures them."""

OTHER_NAMES = {
    "patients_unknown": "share of images whose patient is unknown",
    "masks_missing": "share of positive images without a mask",
    "box_hit_rate": BOX_HIT,
    "exposure_auroc": "AUROC of the exposure alone (brightness, contrast, sharpness)",
    "auroc_over_exposure": "AUROC minus that of the exposure alone",
}
"""Measures outside the report's tables."""

PROBABILITY_NAMES = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "sensitivity_at_95_specificity": "sensitivity at 95 % specificity",
    "brier": "Brier score",
    "log_loss": "log loss",
    "calibration_slope": "calibration slope (1 if calibrated)",
    "observed_expected": "observed / expected positives (1 if calibrated)",
    "ece": "expected calibration error (biased upwards, no interval)",
}
"""Measures of a probability, each given for every one of PROBABILITIES."""

PROBABILITIES = {
    "_classifier": "classifier",
    "_calibrated": "classifier, calibrated",
    "": "with masks",
}
"""Suffix of a measure's name -> which probability it measures."""

POOLED = {
    "_classifier": "pooled mask evidence",
    "_calibrated": "pooled mask evidence, calibrated",
    "": "with all mask features",
}
"""The same for a decision without classifiers, whose raw probability is the pooled mask evidence."""

LABEL_ONLY = {"_classifier": "classifier", "": "calibrated"}
"""The same for a decision without masks, whose final probability is the calibrated classifier."""


def displayed(measured: Mapping[str, Mapping[str, float | None]]) -> list[str]:
    """Keys of the measures to display. Without masks: none of masks, and not the probability with masks, which is the
    calibrated one."""
    if measured.get("kaggle_dice", {"value": 0.0})["value"] is not None:
        return list(measured)
    return [
        key
        for key, one in measured.items()
        if one["value"] is not None and f"{key}_calibrated" not in measured
    ]


def name_of(key: str, probabilities: Mapping[str, str] = PROBABILITIES) -> str:
    """A measure's name in words, with the probability that it measures."""
    known = {**NAMES, **LESION_NAMES, **OTHER_NAMES}
    if key in known:
        return known[key]
    suffix = (
        next(end for end in PROBABILITIES if end and key.endswith(end))
        if key not in PROBABILITY_NAMES
        else ""
    )
    return f"{PROBABILITY_NAMES[key.removesuffix(suffix)]}, {probabilities[suffix]}"


def probability_table(
    measured: Mapping[str, Mapping[str, float | None]], probabilities: Mapping[str, str] = PROBABILITIES
) -> list[str]:
    """Measures of the probabilities side by side, as Markdown."""
    lines = [
        "| measure | " + " | ".join(probabilities.values()) + " |",
        "|---" * (len(probabilities) + 1) + "|",
    ]
    for key, name in PROBABILITY_NAMES.items():
        cells = [in_words(measured[key + suffix]) for suffix in probabilities]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def in_words(measure: Mapping[str, float | None]) -> str:
    """`0.87 (0.84 to 0.90)`; a dash where it is undefined."""
    if measure["value"] is None:
        return "–"
    if measure["low"] is None:
        return f"{measure['value']:.3f}"
    return f"{measure['value']:.3f} ({measure['low']:.3f} to {measure['high']:.3f})"
