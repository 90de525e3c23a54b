"""Sections of the validation report that compare: with and without a tube, with the training data, by the leak check."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ensemble.evaluation.holdout_metrics import Measure
from ensemble.evaluation.wording import in_words
from ensemble.validation.dataset import DRAIN_FILE
from ensemble.validation.results import Results
from imaging.identity.identities import MOST_BITS


def tubes(found: Results) -> list[str]:
    """Operating points and AUROC of images with and without a chest tube."""
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
            f"{in_words(measure(row, side))}, n = {row[f'{side}_images']}" if row[f"{side}_images"] else "–"
            for side in ("with", "without")
        ]
        lines.append(f"| {row['point']} | {row['measure']} | {' | '.join(cells)} | {signed(row)} |")
    return [
        "A network that finds tubes instead of air has a higher sensitivity and a lower specificity where there is a tube.",
        "\n".join(lines),
        "AUROC of the images with and without a tube. A network that finds tubes ranks negatives with one above positives "
        "without one: the worst case below is then lower than the others, and a value below 0.5 is worse than chance.",
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


def differences(found: Results, pictures: Sequence[str]) -> list[str]:
    """Properties of the data next to those of the training data."""
    if found.differences is None:
        return [
            "The bundle keeps no profile of its training data: it was exported by an older version. Export it again."
        ]
    lines = ["| property | training | here | difference |", "|---|---|---|---|"]
    for row in found.differences.to_dict("records"):
        difference = f"**{row['difference']}**" if row["notable"] else row["difference"]
        lines.append(f"| {row['property']} | {row['training']} | {row['here']} | {difference} |")
    return [
        "Numbers: median (quartiles) and number known; differences in standard deviations, of shares in percentage "
        "points, bold from 0.2 SD or 20 points. Grey levels are those of the prepared images, before a network's equalisation.",
        "\n".join(lines),
        "![Training data and these](differences.png)" if "differences" in pictures else "",
    ]


def leak_lines(
    patients: set[str] | None, pictures: int | None, images: int, certain: bool, unknown: int
) -> list[str]:
    """What the leak check found; None: it could not be done."""
    if patients is None or pictures is None:
        return [
            "Not checked: the bundle keeps no hashes of its training data. It may have been trained on these images."
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


def measure(row: dict, side: str) -> Measure:
    """The measure of one side of a comparison's row."""
    ends = {end: row.get(f"{side}_{end}") for end in ("value", "low", "high")}
    return {name: None if value is None or pd.isna(value) else float(value) for name, value in ends.items()}


def signed(row: dict) -> str:
    """`-0.120 (-0.200 to -0.040)`; a dash where there is none."""
    one = measure(row, "difference")
    if one["value"] is None:
        return "–"
    if one["low"] is None:
        return f"{one['value']:+.3f}"
    return f"{one['value']:+.3f} ({one['low']:+.3f} to {one['high']:+.3f})"
