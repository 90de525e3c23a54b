"""The report of an external validation in words: Markdown, with the pictures of its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from ensemble.decision.decision import Decision
from ensemble.evaluation import clinical, subgroups
from ensemble.evaluation.holdout_metrics import Measure, Measured
from ensemble.evaluation.report import (
    BOX_HIT,
    LABEL_ONLY,
    NAMES,
    PROBABILITIES,
    PROBABILITY_NAMES,
    SHEETS,
    in_words,
    name_of,
    probability_table,
)
from ensemble.inference.bundle import Bundle
from ensemble.validation.dataset import DRAIN_FILE, External
from ensemble.validation.profile import Profile
from imaging.identity.identities import MOST_BITS

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


@dataclass
class Results:
    """What the report states; what was not done or is not known is None.

    tubes, tube_aurocs: of `measures.by_tube` and `measures.auroc_by_tube`. lesions: the report's section."""

    bundle: Bundle
    decision: Decision
    external: External
    command: str
    table: pd.DataFrame
    measured: Measured
    drop: pd.DataFrame
    points: pd.DataFrame
    groups: pd.DataFrame
    tubes: pd.DataFrame | None = None
    tube_aurocs: pd.DataFrame | None = None
    lesions: list[str] = field(default_factory=list)
    differences: pd.DataFrame | None = None
    profiles: tuple[Profile, Profile] | None = None
    leaks: list[str] = field(default_factory=list)
    recalibration: pd.DataFrame | None = None
    recalibrated: str = ""

    @property
    def has_masks(self) -> bool:
        """Whether the bundle draws masks."""
        return bool(self.decision.masks.weights)

    @property
    def masks_known(self) -> bool:
        """Whether masks were drawn and some positive image has one to compare with."""
        return bool(self.table.loc[self.table["label"] == 1, "dice"].notna().any())

    @property
    def probabilities(self) -> dict[str, str]:
        """Suffix of a measure's name -> which probability it measures."""
        return PROBABILITIES if self.has_masks else LABEL_ONLY


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
        ["## With and without a chest tube", *_tubes(found)],
        ["## What differs in the data", *_differences(found, pictures)],
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
    "Thresholds as they stand in the bundle, fixed out of fold on its own data and applied here unchanged; rates with their 95 % "
    "interval over patients, then counts."
)


def _head(found: Results) -> list[str]:
    table, external = found.table, found.external
    masked = int(external.prepared.has_mask[external.prepared.index["label"] == 1].sum())
    lines = [
        f"Bundle `{found.bundle.name}` (SHA-256 {found.bundle.sha256[:12]}) on `{external.description}`: {len(table):,} labelled "
        f"images of {table['patient_id'].nunique():,} patients, {int(table['label'].sum()):,} positive, "
        f"{masked:,} of these with a mask. Neither training nor the fit "
        "of the decision may have used them: the check below lists what they share. Intervals: 95 %, over patients.",
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
            "> **Warning: the bundle was trained on generated phantoms; its results on radiographs mean nothing.**"
        )
    return lines


def _drop(found: Results) -> list[str]:
    if found.drop.empty:
        return ["The bundle's metrics.json has no measure to compare with."]
    lines = ["| measure | hold-out | here | here − hold-out (95 %) |", "|---|---|---|---|"]
    compared = COMPARED if found.has_masks else [*PROBABILITY_NAMES, "prevalence", "auroc_classifier"]
    for row in found.drop[found.drop["measure"].isin(compared)].to_dict("records"):
        cells = [in_words(_measure(row, side)) for side in ("holdout", "here")]
        name = name_of(str(row["measure"]), found.probabilities)
        lines.append(f"| {name} | {' | '.join(cells)} | {_signed(row)} |")
    return [
        "The hold-out is the bundle's own, measured when it was exported. The patients differ, so the interval of the difference "
        "is recovered from both intervals (Zou & Donner 2008). Kaggle Dice, average precision, Brier score and log loss depend "
        "on the prevalence and differ already because it does; AUROC, TNR and D⁺ do not. drop.csv has all measures.",
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
        f"{missing[:1].upper()}{missing[1:]}; measures of all masks together do not exist." if missing else ""
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
            "Not asked for. `--recalibrate` refits the calibration to these data, measures it cross-fitted by patient, and "
            "writes a new bundle."
        ]
    lines = [
        "| measure | before | after, cross-fitted | after − before (95 %, paired) |",
        "|---|---|---|---|",
    ]
    for row in found.recalibration.to_dict("records"):
        cells = [in_words(_measure(row, side)) for side in ("before", "after")]
        name = name_of(str(row["measure"]), found.probabilities)
        lines.append(f"| {name} | {' | '.join(cells)} | {_signed(row)} |")
    return [found.recalibrated, "\n".join(lines)]


def _tubes(found: Results) -> list[str]:
    if found.tubes is None:
        return [
            f"Not known: the data have no column `drain` and no {DRAIN_FILE}. `--data phantom:drains` is a built-in set."
        ]
    lines = [
        "| operating point | measure | with a tube | without | with − without (95 %) |",
        "|---|---|---|---|---|",
    ]
    for row in found.tubes.to_dict("records"):
        cells = [
            f"{in_words(_measure(row, side))}, n = {row[f'{side}_images']}" if row[f"{side}_images"] else "–"
            for side in ("with", "without")
        ]
        lines.append(f"| {row['point']} | {row['measure']} | {' | '.join(cells)} | {_signed(row)} |")
    return [
        "A network that finds tubes instead of air has a higher sensitivity and a lower specificity where there is a tube.",
        "\n".join(lines),
        "AUROC of the images with and without a tube. A network that finds tubes ranks negatives with one above positives "
        "without one: the worst case below falls under the others, and a value below 0.5 is worse than chance.",
        "\n".join(_tube_aurocs(found.tube_aurocs)),
    ]


def _tube_aurocs(rows: pd.DataFrame | None) -> list[str]:
    lines = ["| positives and negatives | AUROC (95 %) | positive | negative |", "|---|---|---|---|"]
    for row in [] if rows is None else rows.to_dict("records"):
        measure = {end: None if pd.isna(row[end]) else row[end] for end in ("value", "low", "high")}
        lines.append(
            f"| {row['comparison']} | {in_words(measure)} | {row['positives']} | {row['negatives']} |"
        )
    return lines


def _differences(found: Results, pictures: Sequence[str]) -> list[str]:
    if found.differences is None:
        return [
            "The bundle keeps no profile of its training data: it was exported by an older version. Export it again."
        ]
    lines = ["| property | training | here | difference |", "|---|---|---|---|"]
    for row in found.differences.to_dict("records"):
        difference = f"**{row['difference']}**" if row["notable"] else row["difference"]
        lines.append(f"| {row['property']} | {row['training']} | {row['here']} | {difference} |")
    return [
        "Numbers: median (quartiles) and number known; differences in standard deviations, of shares in percentage points, bold "
        "from 0.2 SD or 20 points. Grey levels are those of the images as the networks get them.",
        "\n".join(lines),
        "![Training data and these](differences.png)" if "differences" in pictures else "",
    ]


def leak_lines(
    patients: set[str] | None, pictures: int | None, images: int, certain: bool, unknown: int
) -> list[str]:
    """What the leak check found; None: it could not be done."""
    if patients is None or pictures is None:
        return [
            "Not checked: the bundle keeps no hashes of its training data. Nothing here excludes that it was trained on these "
            "images."
        ]
    found = []
    if patients:
        found.append(f"> **{len(patients):,} patients have the id of a training patient**; per_image.csv marks them. Ids of two "
                     "hospitals may coincide; if these do not, leave the patients out.")  # fmt: skip
    if pictures and not certain:
        found.append(f"> **{pictures:,} of {images:,} pictures resemble a training picture in all but {MOST_BITS} of 256 bits**: "
                     "copies, or nearly so; per_image.csv marks them. Leave them out.")  # fmt: skip
    if certain:
        found.append("Pictures are not compared: slices of a volume are alike without being copies.")
    if unknown:
        found.append(
            f"{unknown:,} images have no known patient; of these only the pictures could be compared."
        )
    return (
        found
        if patients or pictures
        else ["None: no known patient and no picture is in the training data.", *found]
    )


def _groups(found: Results) -> list[str]:
    return [
        f"Groups of fewer than {subgroups.SMALLEST} images are counted and not measured.",
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


def _measure(row: dict, side: str) -> Measure:
    ends = {end: row.get(f"{side}_{end}") for end in ("value", "low", "high")}
    return {name: None if value is None or pd.isna(value) else float(value) for name, value in ends.items()}


def _signed(row: dict) -> str:
    """`-0.120 (-0.200 to -0.040)`; a dash where there is none."""
    one = _measure(row, "difference")
    if one["value"] is None:
        return "–"
    if one["low"] is None:
        return f"{one['value']:+.3f}"
    return f"{one['value']:+.3f} ({one['low']:+.3f} to {one['high']:+.3f})"
