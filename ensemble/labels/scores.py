"""Scores with the labels as given and with the accepted changes, for the same predictions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from ensemble.evaluation.holdout_metrics import Measured, mean_of, ranking
from ensemble.evaluation.wording import PROBABILITY_NAMES, in_words
from experiments.monitoring.pseudonyms import OUT_OF_FOLD
from experiments.statistics.bootstrap import PatientDraws

TABLES = {
    "Training images, out of fold": Path("reports/ensemble") / OUT_OF_FOLD,
    "Hold-out": Path("reports/evaluation/report/per_image.csv"),
}
"""Where predictions are, by the heading of their section."""
DRAWS = 1000
NAMES = {
    "kaggle_dice": "Kaggle Dice",
    "tnr": "TNR: negative images left empty",
    **{
        name: PROBABILITY_NAMES[name]
        for name in ("auroc", "average_precision", "sensitivity_at_95_specificity")
    },
}


def with_labels(table: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Predictions under other labels: image_id, patient_id, label, prob, submitted, dice.

    labels: image_id, label, of all images of the table. The Dice of an image that is now negative is that of an empty mask (1
    or 0); that of an image that is now positive is NaN, since its mask is not known.
    """
    label = labels.set_index("image_id")["label"].reindex(table["image_id"]).to_numpy(np.int64)
    changed = label != table["label"].to_numpy()
    dice = table["dice"].to_numpy(np.float64)
    known = not np.isnan(dice).all()  # else there are no masks at all
    now_negative = np.where(table["submitted"], 0.0, 1.0) if known else np.nan
    dice = np.where(changed, np.where(label == 1, np.nan, now_negative), dice)
    return table.assign(label=label, dice=dice)


def measure(table: pd.DataFrame) -> Measured:
    """Measures of NAMES, with intervals over patients."""
    draws = PatientDraws(table["patient_id"].to_numpy(), DRAWS, 0)
    label, dice = table["label"].to_numpy(bool), table["dice"].to_numpy(np.float64)
    known = ~np.isnan(dice)
    measured = {"kaggle_dice": mean_of(dice, known, draws), "tnr": mean_of(dice, known & ~label, draws)}
    return measured | ranking(label, table["prob"].to_numpy(np.float64), draws)


def describe(labels: pd.DataFrame, tables: Mapping[str, Path] = TABLES) -> str:
    """Markdown: for each set of images with a changed label, its scores with and without the changes.

    labels: of `ensemble.labels.queue.corrected`."""
    changed = set(labels["image_id"][labels["label"] != labels["previous"]])
    to_positive = int(((labels["label"] == 1) & (labels["previous"] == 0)).sum())
    lines = [
        "# Scores with and without the corrected labels",
        "",
        f"{len(changed)} of {len(labels):,} labels changed, {to_positive} of them to positive. The predictions are "
        "the same: networks and decision were trained with the labels as given. Labels were reviewed because the "
        "predictions contradicted them, so the scores with the changes are optimistic; a review of all labels, "
        "blind to the predictions, would not be.",
        "",
    ]
    for heading, path in tables.items():
        if path.is_file():
            table = pd.read_csv(path, dtype={"image_id": str, "patient_id": str})
            lines += _section(heading, table, labels, changed)
    return "\n".join(lines) + "\n"


def _section(heading: str, table: pd.DataFrame, labels: pd.DataFrame, changed: set[str]) -> list[str]:
    count = int(table["image_id"].isin(changed).sum())
    if not count:
        return [f"## {heading}", "", f"No label of these {len(table):,} images changed.", ""]
    after = with_labels(table, labels)
    if after["label"].nunique() < 2:
        return [
            f"## {heading}",
            "",
            "With the changes all images have the same label, so there is no score.",
            "",
        ]
    given, new = measure(table), measure(after)
    rows = [
        f"| {name} | {in_words(given[key])} | {in_words(new[key])} |"
        for key, name in NAMES.items()
        if given[key]["value"] is not None
    ]
    left_out = int(
        (after["label"].eq(1) & after["dice"].isna()).sum()
        - (table["label"].eq(1) & table["dice"].isna()).sum()
    )
    note = (
        [
            f"The masks' scores leave out {left_out} images that are now positive: their masks are not known.",
            "",
        ]
        if left_out
        else []
    )
    head = [f"## {heading}", "", f"{len(table):,} images, {count} labels changed.", ""]
    return [*head, "| measure | labels as given | with the changes |", "|---|---|---|", *rows, "", *note]
