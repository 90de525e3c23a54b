"""Scores by subgroup: sex, age, view and size of the lesion, with the gap in AUROC from all other images."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ensemble.evaluation.holdout_metrics import mean_of
from ensemble.metrics import breakdown
from experiments.statistics.arrays import Bools, Floats
from experiments.statistics.bootstrap import PatientDraws
from experiments.statistics.influence import auroc_influence
from experiments.statistics.intervals import logit_interval, plain_interval

NO_LESION = "none"
QUARTERS = {1: "1st quarter (smallest)", 2: "2nd quarter", 3: "3rd quarter", 4: "4th quarter (largest)"}
AGES = ((0, 40, "under 40"), (40, 60, "40 to 59"), (60, 200, "60 and over"))


def columns(table: pd.DataFrame) -> dict[str, pd.Series]:
    """Group names of each image by kind of group; images whose value is not known form a group of their own.

    table: per_image with sex, age, view, label, true_share (the lesion's share of the image), and source with several sources.
    """
    sources = {"source": table["source"].astype(str)} if "source" in table else {}
    return sources | {
        "sex": table["sex"].fillna("").replace("", "unknown").astype(str),
        "age": pd.Series([age_band(age) for age in table["age"].astype(float)], index=table.index),
        "view": table["view"].fillna("").replace("", "unknown").astype(str),
        "lesion": area_quarter(table),
    }


def age_band(age: float) -> str:
    """The band of an age in years; `unknown` where it is missing (NaN) or impossible."""
    return next((name for low, high, name in AGES if low <= age < high), "unknown")


def area_quarter(table: pd.DataFrame) -> pd.Series:
    """Quarter of the positive images by their lesion's share of the image, smallest first; others have none."""
    positive = table["label"] == 1
    rank = table["true_share"].where(positive).rank(method="first")  # NaN where there is no lesion
    quarter = np.ceil(rank / max(int(rank.notna().sum()), 1) * 4)
    return pd.Series([QUARTERS.get(k, NO_LESION) for k in quarter], index=table.index)


SMALLEST = 10
"""Smaller groups are counted but not measured."""
RANKED = ("auroc", "auroc_low", "auroc_high", "gap", "gap_low", "gap_high")
MEASURED = ("score", "low", "high", "tnr", "dice_positive", *RANKED)
"""Columns of the measures, which every table has."""


def report(table: pd.DataFrame, draws: PatientDraws) -> pd.DataFrame:
    """One row per group: kind, group, images, positives; score and AUROC with intervals, TNR, D⁺, and the AUROC's gap to the
    other images (NaN where undefined, or where the group has fewer than SMALLEST images)."""
    rows = []
    for kind, names in columns(table).items():
        for name in sorted(set(names) - {NO_LESION}):
            rows.append({"kind": kind, "group": name} | _row(table, (names == name).to_numpy(), draws))
    return pd.DataFrame(rows)


def _row(table: pd.DataFrame, inside: Bools, draws: PatientDraws) -> dict[str, float | None]:
    label, prob = table["label"].to_numpy(bool), table["prob"].to_numpy(np.float64)
    dice, images, positives = table["dice"].to_numpy(), int(inside.sum()), int((label & inside).sum())
    row: dict[str, float | None] = {
        "images": images,
        "positives": positives,
        **dict.fromkeys(MEASURED, np.nan),
    }
    if images < SMALLEST:
        return row
    masked = inside & ~np.isnan(dice)
    if masked.any():
        result, score = breakdown(dice[masked], label[masked]), mean_of(dice, masked, draws)
        row |= {
            "score": score["value"],
            "low": score["low"],
            "high": score["high"],
            "tnr": result.tnr,
            "dice_positive": result.dice_positive,
        }
        if positives and not (masked & label).any():  # only the negatives have one: the group has no score
            row |= dict.fromkeys(("score", "low", "high"), np.nan)
    return row | _ranking(label, prob, inside, draws)


def _ranking(label: Bools, prob: Floats, inside: Bools, draws: PatientDraws) -> dict[str, float]:
    """AUROC of a group with its interval, and its gap to the other images; a patient may have images in both."""
    value, share = auroc_influence(label, prob, inside)
    if np.isnan(value):
        return {}
    fewest = min(draws.patients(inside & label), draws.patients(inside & ~label))
    ends = logit_interval(value, _error(share, draws, fewest), fewest)
    other, other_share = auroc_influence(label, prob, ~inside)
    gap_ends = plain_interval(value - other, _error(share - other_share, draws, fewest), fewest)
    return dict(zip(RANKED, (value, *ends, value - other, *gap_ends), strict=True))


def _error(share: Floats, draws: PatientDraws, fewest: int) -> float:
    """Standard error over patients of a statistic from its images' shares."""
    return float(np.sqrt(np.sum(draws.by_patient(share) ** 2) * fewest / max(fewest - 1, 1)))


def to_markdown(groups: pd.DataFrame) -> str:
    """The table as Markdown; a dash where a measure is undefined."""
    head = [
        "",
        "group",
        "images",
        "positive",
        "score (95 %)",
        "TNR",
        "D⁺",
        "AUROC (95 %)",
        "AUROC gap to the others (95 %)",
    ]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * 9]
    for row in groups.to_dict("records"):
        cells = [row["kind"], row["group"], f"{row['images']:,}", f"{row['positives']:,}"]
        cells += [_with_ends(row, "score", "low", "high"), _number(row["tnr"]), _number(row["dice_positive"])]
        cells += [
            _with_ends(row, "auroc", "auroc_low", "auroc_high"),
            _with_ends(row, "gap", "gap_low", "gap_high", "+"),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _with_ends(row: dict, value: str, low: str, high: str, sign: str = "") -> str:
    if pd.isna(row[value]):
        return "–"
    return f"{row[value]:{sign}.3f} ({row[low]:{sign}.3f} to {row[high]:{sign}.3f})"


def _number(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.3f}"
