"""The score by sex, age, view and size of the lesion: where does it hold, and for whom?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ensemble.metrics import auroc, breakdown
from experiments.statistics.arrays import Bools
from experiments.statistics.bootstrap import PatientDraws, interval

NO_LESION = "none"
QUARTERS = {1: "1 smallest quarter", 2: "2 second", 3: "3 third", 4: "4 largest quarter"}
AGES = ((0, 40, "under 40"), (40, 60, "40 to 59"), (60, 200, "60 and over"))


def columns(table: pd.DataFrame) -> dict[str, pd.Series]:
    """Group names of each image by kind of group; images whose value is not known form a group of their own.

    table: per_image with sex, age, view, label, true_share (the lesion's share of the image).
    """
    return {
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
    quarter = np.ceil(rank / max(int(positive.sum()), 1) * 4)
    return pd.Series([QUARTERS.get(k, NO_LESION) for k in quarter], index=table.index)


def report(table: pd.DataFrame, draws: PatientDraws) -> pd.DataFrame:
    """One row a group: kind, group, images, positives, score with its interval, TNR, D⁺, AUROC (NaN where undefined)."""
    rows = []
    for kind, names in columns(table).items():
        for name in sorted(set(names) - {NO_LESION}):
            rows.append({"kind": kind, "group": name} | _row(table, (names == name).to_numpy(), draws))
    return pd.DataFrame(rows)


def _row(table: pd.DataFrame, inside: Bools, draws: PatientDraws) -> dict[str, float]:
    part = table[inside]
    label, dice = part["label"].to_numpy(bool), part["dice"].to_numpy()
    result = breakdown(dice, label)
    low, high = interval(draws.ratio(table["dice"].to_numpy() * inside, inside))
    return {
        "images": result.images,
        "positives": result.positives,
        "score": result.score,
        "low": low,
        "high": high,
        "tnr": result.tnr,
        "dice_positive": result.dice_positive,
        "auroc": auroc(label, part["prob"].to_numpy())
        if 0 < result.positives < result.images
        else float("nan"),
    }


def to_markdown(groups: pd.DataFrame) -> str:
    """The table as Markdown; a dash where a measure does not exist."""
    lines = ["| | group | images | positive | score | 95 % interval | TNR | D⁺ | AUROC |", "|" + "---|" * 9]
    for row in groups.to_dict("records"):
        values = [_number(row[key]) for key in ("score", "tnr", "dice_positive", "auroc")]
        ends = f"{_number(row['low'])} to {_number(row['high'])}"
        cells = [
            row["kind"],
            row["group"],
            f"{row['images']:,}",
            f"{row['positives']:,}",
            values[0],
            ends,
            *values[1:],
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _number(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.3f}"
