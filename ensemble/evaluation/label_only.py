"""The evaluation's report.md of a decision without masks: what image-level labels allow, and nothing of masks."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ensemble.decision.decision import Decision
from ensemble.evaluation import clinical, ledger, subgroups
from ensemble.evaluation.report import PROBABILITY_NAMES, in_words

NO_MASKS = (
    "> **No masks: there is no segmentation network, no mask is drawn, and there is no Dice.** The decision is a gate on the"
    " classifiers' calibrated probability, fitted to image-level labels."
)


def describe(
    measured: Mapping[str, Mapping[str, float | None]],
    rules: pd.DataFrame,
    groups: pd.DataFrame,
    points: pd.DataFrame,
    table: pd.DataFrame,
    decision: Decision,
    warnings: list[str],
    openings: int,
) -> str:
    """The report. rules: one row, the gate on the hold-out."""
    gate, nested = rules.iloc[0], decision.fitted.get("nested_score", {}).get("value", float("nan"))
    lines = ["# Evaluation on the hold-out", "", NO_MASKS, ""]
    lines += [line for warning in warnings for line in (warning, "")]
    lines += [
        f"{len(table):,} images of {table['patient_id'].nunique():,} patients, {int(table['label'].sum()):,} positive; prevalence"
        f" {in_words(measured['prevalence'])}. Neither training nor the fit of calibration and gate used them. Intervals: 95 %,"
        " over patients.",
        "",
        ledger.sentence(openings),
        "",
        f"The gate calls an image positive from a probability of {decision.rule.least_prob():.3f}: balanced accuracy"
        f" {gate['score']:.3f} ({gate['low']:.3f} to {gate['high']:.3f}), sensitivity {gate['sensitivity']:.3f}, specificity"
        f" {gate['specificity']:.3f}, {gate['called']:.1%} called positive. Nested out of fold it had {nested:.3f}.",
        "",
        "## Probability of a pneumothorax",
        "",
        "| measure | classifier | calibrated |",
        "|---|---|---|",
        *[
            f"| {name} | {in_words(measured[key + '_classifier'])} | {in_words(measured[key])} |"
            for key, name in PROBABILITY_NAMES.items()
        ],
        "",
        "## Operating points",
        "",
        "Thresholds fixed on out-of-fold predictions and applied here unchanged, `rule` is the gate; intervals over patients,"
        " then counts.",
        "",
        clinical.to_markdown(points),
        "",
    ]
    for name, words in {
        "predictive_values": "PPV and NPV against prevalence", "decision_curve": "Decision curve", "roc": "ROC",
        "pr": "Precision and recall", "calibration": "Calibration",
    }.items():  # fmt: skip
        lines += [f"![{words}]({name}.png)", ""]
    lines += [
        "## Subgroups",
        "",
        f"Groups of fewer than {subgroups.SMALLEST} images are counted and not measured. Scores of masks do not exist.",
        "",
        subgroups.to_markdown(groups),
    ]
    return "\n".join(lines) + "\n"
