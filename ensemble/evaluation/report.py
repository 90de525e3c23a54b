"""The evaluation's report.md in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from ensemble.decision.comparison import to_markdown
from ensemble.decision.decision import Decision
from ensemble.evaluation import subgroups

METRICS = Path("reports/evaluation/metrics.json")
REPORT = METRICS.parent / "report"
"""Apart from the metrics, which git keeps and DVC does not store."""


SHEETS = {
    "overlays": "Best, middle and worst masks",
    "false_positives": "False alarms: a mask on an empty image",
    "false_negatives": "Misses: no mask on a positive image",
}

NAMES = {
    "kaggle_dice": "Kaggle Dice",
    "tnr": "TNR: empty images left empty",
    "dice_positive": "D⁺: Dice of the positive images",
    "prevalence": "prevalence π",
    "all_empty": "score of empty masks alone, 1 − π",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "ece": "expected calibration error",
    "ece_before": "the same of the classifier ensemble before calibration",
    "sensitivity_at_95_specificity": "sensitivity at 95 % specificity",
    "iou_positive": "IoU of the positive images",
    "miou": "mIoU over all pixels, background and finding (mmsegmentation's)",
    "mdice": "mDice, the same way",
}

LEAKS = (
    "> **The split leaks.** `split.scheme: image` puts images of one patient on both sides, as the published solutions do. "
    "In SIIM-ACR the other images of a patient alone predict the label with an AUROC of 0.83: these figures do not hold for "
    "new patients."
)


def in_words(measure: Mapping[str, float | None]) -> str:
    """`0.87 (0.84 to 0.90)`; a dash where it does not exist."""
    if measure["value"] is None:
        return "–"
    return f"{measure['value']:.3f} ({measure['low']:.3f} to {measure['high']:.3f})"


def caption(prob: float, label: int, dice: float) -> str:
    """One picture's caption: the probability, and how well the mask fits where there is a lesion."""
    return f"p = {prob:.2f}" + (f", Dice {dice:.2f}" if label else "")


def describe(
    measured: Mapping[str, Mapping[str, float | None]],
    rules: pd.DataFrame,
    groups: pd.DataFrame,
    table: pd.DataFrame,
    decision: Decision,
    scheme: str,
) -> str:
    """The report."""
    value = {name: measure["value"] for name, measure in measured.items()}
    lines = ["# Evaluation on the hold-out", ""]
    lines += [LEAKS, ""] if scheme == "image" else []
    lines += [
        f"{len(table):,} images of {table['patient_id'].nunique():,} patients, {int(table['label'].sum()):,} "
        "positive. Neither training nor the choice of rule and thresholds has seen them. Intervals: 95 %, over patients.",
        "",
        "| measure | value (95 % interval) |",
        "|---|---|",
        *[f"| {NAMES[name]} | {in_words(measure)} |" for name, measure in measured.items()],
        "",
        _identity(value),
        "",
        _nested(decision, value),
        "",
        f"The classifiers ruled a mask out on {table['skipped'].mean():.0%} of the images; the mask models need not see those. "
        f"A mask was submitted for {table['submitted'].mean():.1%}.",
        "",
        *_pictures(),
        "## All rules",
        "",
        "Fitted on the same out-of-fold predictions, applied to the same hold-out, before any last touches to the masks; "
        "`against` is the paired difference.",
        "",
        to_markdown(rules, decision.rule.kind, flattery=False),
        "",
        "## Subgroups",
        "",
        "The quarters of the lesions' size hold positive images alone: there the score is D⁺, and AUROC and TNR do not exist. "
        "Small groups have wide intervals.",
        "",
        subgroups.to_markdown(groups),
    ]
    return "\n".join(lines) + "\n"


def _identity(value: Mapping[str, float | None]) -> str:
    """The score taken apart."""
    if value["tnr"] is None or value["dice_positive"] is None:
        return "All images are of one kind: the score has one part only."
    pi = value["prevalence"] or 0.0
    return (
        f"score = (1 − π)·TNR + π·D⁺ = {1 - pi:.3f} × {value['tnr']:.3f} + {pi:.3f} × "
        f"{value['dice_positive']:.3f} = **{value['kaggle_dice']:.4f}**; submitting nothing scores {value['all_empty']:.4f}."
    )


def _nested(decision: Decision, value: Mapping[str, float | None]) -> str:
    """Beside the nested out-of-fold score, and why the two are not the same quantity."""
    nested = decision.fitted.get("nested_score", {}).get("value", float("nan"))
    return (
        f"Nested out of fold the rule `{decision.rule.kind}` scored {nested:.4f}. The two differ in kind: out of fold each "
        "image is seen by one fold's networks, here by the mean over all folds', usually the better predictor; the decision's "
        "thresholds and calibration were fitted to single folds' outputs, which are more extreme than a mean."
    )


def _pictures() -> list[str]:
    lines = []
    for name, words in {
        "roc": "ROC",
        "pr": "Precision and recall",
        "calibration": "Calibration",
        "dice_by_area": "Dice by area of the lesion",
        **SHEETS,
    }.items():
        lines += [f"![{words}]({name}.png)", ""]
    return lines
