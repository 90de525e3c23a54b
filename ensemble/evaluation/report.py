"""The evaluation's report.md in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from ensemble.decision.comparison import to_markdown
from ensemble.decision.decision import Decision
from ensemble.evaluation import clinical, ledger, subgroups
from imaging.prepared import Prepared

METRICS = Path("reports/evaluation/metrics.json")
REPORT = METRICS.parent / "report"
"""Apart from the metrics, which git keeps and DVC does not store."""

SHEETS = {
    "overlays": "Best, middle and worst masks",
    "false_positives": "False alarms: a mask on an empty image",
    "false_negatives": "Misses: no mask on a positive image",
}
CURVES = {"roc": "ROC", "pr": "Precision and recall", "calibration": "Calibration"}
PICTURES = {**CURVES, "dice_by_area": "Dice by area of the lesion", **SHEETS}

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
    "side_accuracy": "side of the finding right",
    "size_error_mm2": "size, predicted − annotated, mm²",
    "size_error_relative": "size, predicted − annotated, relative",
    "size_error_absolute": "size, relative, without sign",
    "lesion_sensitivity": "lesions found by the submitted masks",
    "false_lesions_per_image": "false lesions an image",
    "froc_0_125": "FROC: sensitivity at 0.125 false positives an image",
    "froc_0_25": "FROC: sensitivity at 0.25 false positives an image",
    "froc_0_5": "FROC: sensitivity at 0.5 false positives an image",
    "froc_1_0": "FROC: sensitivity at 1 false positive an image",
}
"""Measures of lesions, in the report's order; ensemble.evaluation.lesions measures them."""

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

LABEL_ONLY = {"_classifier": "classifier", "": "calibrated"}
"""The same of a decision without masks, whose final probability is the calibrated classifier."""


def displayed(measured: Mapping[str, Mapping[str, float | None]]) -> list[str]:
    """Keys of the measures to display. Without masks none of masks, and not the probability with masks: it is the calibrated."""
    if measured.get("kaggle_dice", {"value": 0.0})["value"] is not None:
        return list(measured)
    return [
        key
        for key, one in measured.items()
        if one["value"] is not None and f"{key}_calibrated" not in measured
    ]


def name_of(key: str, probabilities: Mapping[str, str] = PROBABILITIES) -> str:
    """A measure's name in words, with the probability that it measures."""
    if key == "patients_unknown":
        return "share of images whose patient is unknown"
    if key == "masks_missing":
        return "share of positive images without a mask"
    if key == "box_hit_rate":
        return BOX_HIT
    if key in NAMES or key in LESION_NAMES:
        return {**NAMES, **LESION_NAMES}[key]
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


PHANTOMS = "> **Generated phantoms, not patients: these figures say nothing about patients.**"
LEAKS = (
    "> **The split leaks: {shared:,} patients have images in more than one part**, as in the published solutions. "
    "In SIIM-ACR the other images of a patient alone predict the label with an AUROC of 0.83: these figures do not hold for "
    "new patients."
)


def data_warnings(prepared: Prepared, source: str) -> list[str]:
    """Warnings at the top of the report: generated data, a split that shares patients, patients or masks that are unknown."""
    generated = [PHANTOMS] if source == "phantom" else []
    leaks = [LEAKS.format(shared=prepared.shared_patients)] if prepared.shared_patients else []
    unknown, missing = prepared.patients.warning, prepared.masks_missing
    notes = [f"> **Warning: {unknown}.**"] if unknown else []
    return generated + leaks + notes + ([f"> **Note: {missing}.**"] if missing else [])


def in_words(measure: Mapping[str, float | None]) -> str:
    """`0.87 (0.84 to 0.90)`; a dash where it does not exist."""
    if measure["value"] is None:
        return "–"
    if measure["low"] is None:
        return f"{measure['value']:.3f}"
    return f"{measure['value']:.3f} ({measure['low']:.3f} to {measure['high']:.3f})"


def caption(prob: float, label: int, dice: float) -> str:
    """One picture's caption: the probability, and how well the mask fits where there is a lesion."""
    return f"p = {prob:.2f}" + (f", Dice {dice:.2f}" if label and not math.isnan(dice) else "")


@dataclass
class HoldoutResults:
    """What the report states.

    rules: all rules on the hold-out (without masks one row, the gate). groups: subgroups. points: operating points. table: one
    row an image. warnings: quoted at the report's top. lesions: its section of lesions. openings: of the hold-out so far.
    """

    measured: dict[str, dict[str, float | None]]
    rules: pd.DataFrame
    groups: pd.DataFrame
    points: pd.DataFrame
    table: pd.DataFrame
    decision: Decision
    warnings: list[str]
    lesions: list[str] = field(default_factory=list)
    openings: int = 0

    @property
    def size(self) -> str:
        """Images, patients and positives in words."""
        patients, positive = self.table["patient_id"].nunique(), int(self.table["label"].sum())
        return f"{len(self.table):,} images of {patients:,} patients, {positive:,} positive"

    @property
    def nested(self) -> float:
        """The decision's nested out-of-fold score; NaN when it has none."""
        return float(self.decision.fitted.get("nested_score", {}).get("value", math.nan))


def describe(found: HoldoutResults) -> str:
    """The report as Markdown; ensemble.evaluation.label_only has the one without masks."""
    lines = [
        *heading(found.warnings),
        f"{found.size}. Neither training nor the fit of rule and thresholds used them. Intervals: 95 %, over patients; of rates "
        "and Dice Wilson's with the effective number of images, at 0 and 1 with the number of patients; of areas under curves on "
        "the logit scale (docs/evaluation.md has their coverage). They do not cover the variance between trainings: this is one "
        "(`make repro SEEDS=3`, docs/seeds.md).",
        "",
        ledger.sentence(found.openings),
        "",
        f"Made by `dvc repro evaluate` (`python -m ensemble.evaluate`) at commit `{ledger.commit()}`, data "
        f"`{found.decision.fitted['data_fingerprint']}`, rule `{found.decision.rule.kind}`.",
        "",
        *_masks(found),
        "## Probability of a pneumothorax",
        "",
        _which(found.decision),
        "",
        f"All of {len(found.table):,} images, {int(found.table['label'].sum()):,} positive.",
        "",
        *probability_table(found.measured),
        "",
        *operating_points(found.points),
        *images({"predictive_values": "PPV and NPV against prevalence", "decision_curve": "Decision curve"}),
        *found.lesions,
        *images(PICTURES),
        "## All rules",
        "",
        "Fitted on the same out-of-fold predictions, applied to the same hold-out, before post-processing; "
        "`against` is the paired difference.",
        "",
        to_markdown(found.rules, found.decision.rule.kind, optimism=False),
        "",
        "## Subgroups",
        "",
        "The quarters of the lesions' size hold positive images alone: there the score is D⁺, and AUROC and TNR do not exist. "
        f"Groups of fewer than {subgroups.SMALLEST} images are counted and not measured.",
        "",
        subgroups.to_markdown(found.groups),
    ]
    return "\n".join(lines) + "\n"


def heading(warnings: list[str]) -> list[str]:
    """The report's title and the warnings below it."""
    return ["# Evaluation on the hold-out", "", *(line for warning in warnings for line in (warning, ""))]


def operating_points(points: pd.DataFrame, more: str = "") -> list[str]:
    """The section of operating points; more: words on the rule."""
    return [
        "## Operating points",
        "",
        f"Thresholds fixed on out-of-fold predictions and applied here unchanged{more}; intervals over patients, then counts.",
        "",
        clinical.to_markdown(points),
        "",
    ]


def images(names: Mapping[str, str]) -> list[str]:
    """Pictures by file name -> title."""
    return [line for name, title in names.items() for line in (f"![{title}]({name}.png)", "")]


def _masks(found: HoldoutResults) -> list[str]:
    """Measures of the masks, the score taken apart, and how often the cascade skips the mask networks."""
    measured, table = found.measured, found.table
    value = {name: measure["value"] for name, measure in measured.items()}
    rows = [
        f"| {name} | {in_words(measured[key])} | {_images_of(key, table):,} |" for key, name in NAMES.items()
    ]
    if "box_hit_rate" in measured:
        rows.append(
            f"| {BOX_HIT} | {in_words(measured['box_hit_rate'])} | {table['box_hit'].notna().sum():,} |"
        )
    return [
        "## Masks",
        "",
        "| measure | value (95 % interval) | images |",
        "|---|---|---|",
        *rows,
        "",
        _identity(value),
        "",
        f"Nested out of fold the rule `{found.decision.rule.kind}` scored {found.nested:.4f}. The two differ in kind: out of "
        "fold each image is predicted by one fold's networks, here by the mean over all folds', usually the better predictor; "
        "the decision's thresholds and calibration were fitted to single folds' outputs, which are more extreme than a mean.",
        "",
        f"The classifiers ruled a mask out on {table['skipped'].mean():.0%} of the images; the mask models need not see those. "
        f"A mask was submitted for {table['submitted'].mean():.1%}.",
        "",
    ]


def _images_of(key: str, table: pd.DataFrame) -> int:
    """Number of images behind a measure of the masks."""
    masked = table[table["dice"].notna()]
    positives = int(masked["label"].sum())
    return {
        "tnr": len(masked) - positives,
        "dice_positive": positives,
        "iou_positive": positives,
        "prevalence": len(table),
    }.get(key, len(masked))


def _which(decision: Decision) -> str:
    """What the three probabilities are, and how much the classifier counts in the last."""
    words = "`classifier`: the classifier ensemble's own output. `classifier, calibrated`: after calibration, without the masks. "
    if decision.probability.kind != "stacked":
        return (
            words
            + "`with masks`: what the rule sees, here the calibrated classifier again: no mask features are stacked."
        )
    regression = decision.probability.regression
    weights = ", ".join(
        f"{name} {weight:+.2f}" for name, weight in zip(regression.features, regression.weight, strict=True)
    )
    return words + (
        "`with masks`: what the rule sees, the classifier stacked with features of the predicted masks "
        f"(standardised weights: {weights})."
    )


def _identity(value: Mapping[str, float | None]) -> str:
    """The score taken apart."""
    if value["tnr"] is None or value["dice_positive"] is None:
        return "All images are of one kind: the score has one part only."
    pi = 1 - (value["all_empty"] or 0.0)  # among the images whose mask is known
    known = (
        ""
        if abs(pi - (value["prevalence"] or 0.0)) < 1e-9
        else " π here is that of the images whose mask is known."
    )
    return (
        f"score = (1 − π)·TNR + π·D⁺ = {1 - pi:.3f} × {value['tnr']:.3f} + {pi:.3f} × {value['dice_positive']:.3f}"
        f" = **{value['kaggle_dice']:.4f}**; submitting nothing scores {value['all_empty']:.4f}.{known}"
    )
