"""The report of an external validation in words: Markdown, with the pictures of its folder."""

from __future__ import annotations

from collections.abc import Sequence

from ensemble.evaluation import clinical, subgroups
from ensemble.evaluation.report import SHEETS
from ensemble.evaluation.wording import (
    BOX_HIT,
    NAMES,
    PROBABILITY_NAMES,
    in_words,
    name_of,
    probability_table,
)
from ensemble.validation.comparisons import differences, measure, signed, tubes
from ensemble.validation.dataset import External
from ensemble.validation.results import Results

PICTURES = {
    "roc": "ROC",
    "pr": "Precision and recall",
    "calibration": "Calibration",
    "predictive_values": "PPV and NPV against prevalence",
    "decision_curve": "Decision curve",
    "dice_by_area": "Dice by area of the lesion",
    **SHEETS,
}


COMPARED = (
    *(name for name in NAMES if name != "all_empty"),
    *PROBABILITY_NAMES,
    "auroc_classifier",
    "calibration_slope_calibrated",
    "observed_expected_calibrated",
)
"""Measures in the report's comparison with the hold-out."""


def describe(found: Results, pictures: Sequence[str]) -> str:
    """The report; pictures: names of the PNG files beside it, without ending."""
    sections = [
        ["# External validation", *_head(found)],
        ["## Against the hold-out", *_drop(found)],
        ["## Masks", *_masks(found)],
        ["\n".join(found.lesions).strip()],
        ["## Probability of a pneumothorax", *_probability(found)],
        ["## Operating points", _POINTS, "", clinical.to_markdown(found.points)],
        ["## Recalibration", *_recalibration(found)],
        ["## With and without a chest tube", *tubes(found)],
        ["## What differs in the data", *differences(found, pictures)],
        ["## Pictures and patients shared with the training data", *found.leaks],
        ["## Subgroups", *_groups(found)],
        [
            "## Curves and images",
            *[f"![{words}]({name}.png)" for name, words in PICTURES.items() if name in pictures],
        ],
        ["## Left out and noted", *_left_out(found.external)],
    ]
    written = ("\n\n".join(part for part in section if part) for section in sections)
    return "\n\n".join(section for section in written if section) + "\n"


_POINTS = (
    "The bundle's own thresholds, fixed out of fold on its training data and applied here unchanged; rates with their "
    "95 % interval over patients, then counts."
)


def _head(found: Results) -> list[str]:
    table, external = found.table, found.external
    masked = int(external.prepared.has_mask[external.prepared.index["label"] == 1].sum())
    lines = [
        f"Bundle `{found.bundle.name}` (SHA-256 {found.bundle.sha256[:12]}) on `{external.description}`: "
        f"{len(table):,} labelled images of {table['patient_id'].nunique():,} patients, "
        f"{int(table['label'].sum()):,} positive, {masked:,} of these with a mask. Neither training nor the fit of "
        "the decision should have used them; the check below lists what they share. Intervals: 95 %, over patients.",
        f"Command: `{found.command}`",
    ]
    if warning := external.prepared.patients.warning:
        lines.append(
            f"> **Warning: {warning.replace('split and intervals are', 'intervals are')}; they may be too narrow.**"
        )
    if found.bundle.disease != external.finding:
        lines.append(
            f"> **Warning: the bundle looks for {found.bundle.disease}, the data's masks show {external.finding}.**"
        )
    if found.bundle.source == "phantom" and not external.description.startswith("phantom"):
        lines.append(
            "> **Warning: the bundle was trained on generated phantoms; its results on radiographs are meaningless.**"
        )
    return lines


def _drop(found: Results) -> list[str]:
    if found.drop.empty:
        return ["The bundle's metrics.json has no measure to compare with."]
    lines = ["| measure | hold-out | here | here − hold-out (95 %) |", "|---|---|---|---|"]
    compared = COMPARED if found.has_masks else [*PROBABILITY_NAMES, "prevalence", "auroc_classifier"]
    for row in found.drop[found.drop["measure"].isin(compared)].to_dict("records"):
        cells = [in_words(measure(row, side)) for side in ("holdout", "here")]
        name = name_of(str(row["measure"]), found.probabilities)
        lines.append(f"| {name} | {' | '.join(cells)} | {signed(row)} |")
    return [
        "The hold-out is the bundle's own, measured when it was exported. The patients differ, so the interval of "
        "the difference is recovered from both intervals (Zou & Donner 2008). Kaggle Dice, average precision, "
        "Brier score and log loss depend on the prevalence, and differ already if it does; AUROC, TNR and D⁺ do "
        "not depend on it. drop.csv has all measures.",
        "\n".join(lines),
    ]


def _masks(found: Results) -> list[str]:
    if not found.has_masks:
        return ["The bundle has no segmentation network: it draws no mask, and there is no score of masks."]
    lines = ["| measure | value (95 % interval) |", "|---|---|"]
    lines += [
        f"| {name} | {in_words(found.measured[key])} |"
        for key, name in NAMES.items()
        if found.measured[key]["value"] is not None
    ]
    if "box_hit_rate" in found.measured:
        count = int(found.table["box_hit"].notna().sum())
        lines.append(f"| {BOX_HIT} | {in_words(found.measured['box_hit_rate'])}, n = {count:,} |")
    missing = found.external.prepared.masks_missing
    note = (
        f"{missing[:1].upper()}{missing[1:]}; measures of all masks together are undefined."
        if missing
        else ""
    )
    return [
        note,
        "\n".join(lines),
        f"A mask was submitted for {found.table['submitted'].mean():.1%} of the images.",
    ]


def _probability(found: Results) -> list[str]:
    return ["\n".join(probability_table(found.measured, found.probabilities))]


def _recalibration(found: Results) -> list[str]:
    if found.recalibration is None:
        return [
            "Not requested. `--recalibrate` refits the calibration to these data, measures it cross-fitted by "
            "patient, and writes a new bundle."
        ]
    lines = [
        "| measure | before | after, cross-fitted | after − before (95 %, paired) |",
        "|---|---|---|---|",
    ]
    for row in found.recalibration.to_dict("records"):
        cells = [in_words(measure(row, side)) for side in ("before", "after")]
        name = name_of(str(row["measure"]), found.probabilities)
        lines.append(f"| {name} | {' | '.join(cells)} | {signed(row)} |")
    return [found.recalibrated, "\n".join(lines)]


def _groups(found: Results) -> list[str]:
    return [
        f"Groups of fewer than {subgroups.SMALLEST} images are counted but not measured.",
        subgroups.to_markdown(found.groups),
    ]


def _left_out(external: External) -> list[str]:
    lines = []
    if len(external.rejected):
        lines.append(f"{len(external.rejected):,} images were refused; rejected.csv says why.")
    if external.unlabelled:
        lines.append(f"{external.unlabelled:,} images have no label and were left out.")
    lines += external.notes
    return ["\n".join(f"- {line}" for line in lines)] if lines else ["Nothing."]
