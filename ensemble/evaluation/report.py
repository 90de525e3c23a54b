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
from ensemble.evaluation.wording import (
    BOX_HIT,
    LABEL_ONLY,
    NAMES,
    POOLED,
    PROBABILITIES,
    in_words,
    probability_table,
)
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
CLINICAL = {"predictive_values": "PPV and NPV against prevalence", "decision_curve": "Decision curve"}
PICTURES = {**CURVES, "dice_by_area": "Dice by area of the lesion", **SHEETS}

NO_MASKS = (
    "> **No masks: there is no segmentation network, no mask is drawn, and there is no Dice.** The decision is a gate on the"
    " classifiers' calibrated probability, fitted to image-level labels."
)
PHANTOMS = "> **Generated phantoms, not patients: these figures say nothing about patients.**"
LEAKS = (
    "> **The split leaks: {shared:,} patients have images in more than one part**, as in the published solutions. "
    "In SIIM-ACR the other images of a patient alone predict the label with an AUROC of 0.83: these figures do not "
    "hold for new patients."
)


def data_warnings(prepared: Prepared, source: str) -> list[str]:
    """Warnings at the top of the report: generated data, a split that shares patients, patients or masks that are unknown."""
    generated = [PHANTOMS] if source == "phantom" else []
    leaks = [LEAKS.format(shared=prepared.shared_patients)] if prepared.shared_patients else []
    unknown, missing = prepared.patients.warning, prepared.masks_missing
    notes = [f"> **Warning: {unknown}.**"] if unknown else []
    return generated + leaks + notes + ([f"> **Note: {missing}.**"] if missing else [])


def caption(prob: float, label: int, dice: float) -> str:
    """One picture's caption: the probability, and how well the mask fits where there is a lesion."""
    return f"p = {prob:.2f}" + (f", Dice {dice:.2f}" if label and not math.isnan(dice) else "")


@dataclass
class HoldoutResults:
    """What the report states.

    rules: all rules on the hold-out (without masks one row, the gate). groups: subgroups. points: operating points. table: one
    row per image. warnings: quoted at the report's top. lesions: its section of lesions. openings: of the hold-out so far.
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
    """The report as Markdown."""
    lines = [
        *heading(found.warnings),
        f"{found.size}. Neither training nor the fit of rule and thresholds used them. Intervals: 95 %, over patients; "
        "for rates and Dice Wilson's, with the effective number of images, at 0 and 1 with the number of patients; for areas "
        "under curves on the logit scale (coverage: docs/evaluation.md). They do not cover the variance between trainings, "
        "since this is a single training (`make repro SEEDS=3`, docs/seeds.md).",
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
        *probability_table(found.measured, PROBABILITIES if found.decision.classifiers else POOLED),
        "",
        *_exposure(found),
        *operating_points(found.points),
        *images(CLINICAL),
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
        "The quarters by lesion size contain only positive images: there the score is D⁺, and AUROC and TNR are undefined. "
        f"Groups of fewer than {subgroups.SMALLEST} images are counted but not measured.",
        "",
        subgroups.to_markdown(found.groups),
    ]
    return "\n".join(lines) + "\n"


def describe_label_only(found: HoldoutResults) -> str:
    """The report of a decision without masks: what image-level labels allow."""
    measured, gate = found.measured, found.rules.iloc[0]
    lines = [
        *heading([NO_MASKS, *found.warnings]),
        f"{found.size}; prevalence {in_words(measured['prevalence'])}. Neither training nor the fit of calibration and "
        "gate used them. Intervals: 95 %, over patients; they do not cover the variance between trainings (docs/seeds.md).",
        "",
        ledger.sentence(found.openings),
        "",
        f"The gate calls an image positive at a probability of at least {found.decision.rule.least_prob():.3f}: "
        f"balanced accuracy {gate['score']:.3f} ({gate['low']:.3f} to {gate['high']:.3f}), sensitivity "
        f"{gate['sensitivity']:.3f}, specificity {gate['specificity']:.3f}, {gate['called']:.1%} called positive. "
        f"Its nested out-of-fold balanced accuracy was {found.nested:.3f}.",
        "",
        "## Probability of a pneumothorax",
        "",
        *probability_table(measured, LABEL_ONLY),
        "",
        *_exposure(found),
        *operating_points(found.points, ", `rule` is the gate"),
        *images(CLINICAL | CURVES),
        "## Subgroups",
        "",
        f"Groups of fewer than {subgroups.SMALLEST} images are counted but not measured. There are no scores of masks.",
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
        f"Thresholds fixed on out-of-fold predictions and applied here unchanged{more}; intervals over patients, "
        "then counts.",
        "",
        clinical.to_markdown(points),
        "",
    ]


def images(names: Mapping[str, str]) -> list[str]:
    """Pictures by file name -> title."""
    return [line for name, title in names.items() for line in (f"![{title}]({name}.png)", "")]


def _exposure(found: HoldoutResults) -> list[str]:
    """How well the exposure alone predicts the label; nothing where there is no AUROC."""
    more = found.measured.get("auroc_over_exposure", {"value": None})
    if more["value"] is None:
        return []
    alone = in_words(found.measured["exposure_auroc"])
    low, high = (math.nan if end is None else end for end in (more["low"], more["high"]))
    doubt = (
        ""
        if low > 0
        else " As this interval is not above 0, the AUROC does not show that the networks see the finding."
    )
    return [
        "**The exposure alone** (brightness, contrast and sharpness; logistic regression fitted on the images of the folds)"
        f" has AUROC {alone} on these images; that of the final probability differs from it by {more['value']:+.3f}"
        f" ({low:+.3f} to {high:+.3f}).{doubt}",
        "",
    ]


def _masks(found: HoldoutResults) -> list[str]:
    """Measures of the masks, the score's decomposition, and how often the cascade skips the mask networks."""
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
        f"Nested out of fold the rule `{found.decision.rule.kind}` scored {found.nested:.4f}. The two differ in "
        "kind: out of fold, each image is predicted by one fold's networks, here by the mean of all folds' "
        "networks, usually the better predictor; the decision's thresholds and calibration were fitted to the "
        "outputs of single folds, which are more extreme than a mean.",
        "",
        f"{_seen(found)} A mask was submitted for {table['submitted'].mean():.1%}.",
        "",
    ]


def _seen(found: HoldoutResults) -> str:
    """Which images the mask models see."""
    if not found.decision.classifiers:
        return "There is no classifier: the mask models see every image."
    share = found.table["skipped"].mean()
    return (
        f"The classifiers ruled a mask out on {share:.0%} of the images; the mask models need not see those."
    )


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
    """What the three probabilities are, and how much the raw one counts in the last."""
    names, raw = POOLED, "pooled mask evidence"
    words = "the sigmoid of the mean logit of the highest 0.5 % of each map, averaged over networks; there is no classifier"
    if decision.classifiers:
        names, raw, words = PROBABILITIES, "classifier", "the classifier ensemble's own output"
    lines = (
        f"`{raw}`: {words}. `{raw}, calibrated`: after calibration alone. `{names['']}`: what the rule sees, "
    )
    if decision.probability.kind != "stacked":
        return f"{lines}here the calibrated {raw} again: no mask features are stacked."
    regression = decision.probability.regression
    weights = ", ".join(
        f"{raw if name == 'classifier' else name} {weight:+.2f}"
        for name, weight in zip(regression.features, regression.weight, strict=True)
    )
    return f"{lines}the {raw} stacked with features of the predicted masks (standardised weights: {weights})."


def _identity(value: Mapping[str, float | None]) -> str:
    """The score's decomposition."""
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
