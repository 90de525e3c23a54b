"""Experiments side by side as tables: metrics with intervals, differences in pairs, the ends of the curves."""

from __future__ import annotations

import numpy as np
import pandas as pd

from experiments.compare.runs import Curve, Result
from experiments.statistics.bootstrap import PatientDraws
from experiments.statistics.intervals import percentile_interval

# mIoU and mDice first, as mmsegmentation prints them, then the competition's score with its parts.
COLUMNS = {
    "nested": "out-of-fold score",
    "miou": "mIoU",
    "mdice": "mDice",
    "kaggle_dice": "Kaggle Dice",
    "tnr": "TNR",
    "dice_positive": "D⁺",
    "prevalence": "π",
    "all_empty": "all empty",
    "auroc": "AUROC",
}
BY = ("out-of-fold", "holdout")
"""What experiments are ranked and compared by; the hold-out only where it is asked for, since a choice by it spoils it."""
PARTS = ("kaggle_dice", "tnr", "dice_positive")


def results(found: list[Result]) -> pd.DataFrame:
    """One row an experiment; of each metric its value and, as `<metric>_low` and `<metric>_high`, its 95 % interval."""
    rows = []
    for one in found:
        row: dict[str, object] = {"experiment": one.name, "made": one.made, "images": len(one.images)}
        for metric in COLUMNS:
            measured = one.nested if metric == "nested" else one.metrics.get(metric, {})
            row |= {metric: measured.get("value")}
            row |= {f"{metric}_{end}": measured.get(end) for end in ("low", "high")}
        rows.append(row)
    return pd.DataFrame(rows).dropna(axis="columns", how="all")


def ranked(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """The table of `results`, best first by the out-of-fold or the hold-out score; experiments without that score last."""
    column = "kaggle_dice" if by == "holdout" else "nested"
    if column not in table:
        return table
    return table.sort_values(column, ascending=False, kind="stable", ignore_index=True)


def difference(
    one: Result, base: Result, draws: int, seed: int = 0, by: str = "holdout"
) -> dict[str, object]:
    """Scores of `one` less those of `base`, image by image on the images that both have, with 95 % intervals over patients.

    by: of BY; out of fold where both have the table of out-of-fold predictions, else on the hold-out (column `on`).

    The score's parts are of the empty images (TNR) and of the positive ones (D⁺). Raises ValueError where the two have no
    image in common or call it differently.
    """
    images, others, on = one.images, base.images, "holdout"
    if by != "holdout" and one.out_of_fold is not None and base.out_of_fold is not None:
        images, others, on = one.out_of_fold, base.out_of_fold, "out-of-fold"
    both = images.merge(others, on="image_id", suffixes=("", "_base"))
    if both.empty:
        raise ValueError(f"{one.name} and {base.name} were judged on other images: no difference in pairs")
    if (both["label"] != both["label_base"]).any():
        raise ValueError(f"{one.name} and {base.name} do not have the same labels: no difference in pairs")
    gain = (both["dice"] - both["dice_base"]).to_numpy()
    positive = both["label"].to_numpy(bool)
    drawn = PatientDraws(both["patient_id"].to_numpy(), draws, seed)
    row: dict[str, object] = {"experiment": one.name, "baseline": base.name, "on": on, "images": len(both)}
    for part, inside in zip(PARTS, (np.ones(len(both), bool), ~positive, positive), strict=True):
        low, high = percentile_interval(drawn.ratio(gain * inside, inside), drawn.patients(inside))
        row |= {
            part: gain[inside].mean() if inside.any() else np.nan,
            f"{part}_low": low,
            f"{part}_high": high,
        }
    return row


def curves(found: list[Curve]) -> pd.DataFrame:
    """One row a training or trial: what its curves ended with."""
    wanted = sorted({key for one in found for key in one.last if key.startswith(("train/", "val/"))})
    rows = []
    for one in found:
        epochs = 1 + max((step for points in one.points.values() for step, _ in points), default=-1)
        row: dict[str, object] = {
            "experiment": one.owner,
            "run": one.name,
            "status": one.status,
            "epochs": epochs,
        }
        rows.append(row | {key: one.last.get(key) for key in wanted})
    return pd.DataFrame(rows).dropna(axis="columns", how="all")


def markdown(table: pd.DataFrame, signed: bool = False) -> str:
    """A table in Markdown: a metric and its interval in one cell, three decimals."""
    names = [name for name in table.columns if not name.endswith(("_low", "_high"))]
    lines = [" | ".join(COLUMNS.get(name, name) for name in names), " | ".join("---" for _ in names)]
    for _, row in table.iterrows():
        lines.append(" | ".join(_cell(row, name, signed) for name in names))
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def _cell(row: pd.Series, name: str, signed: bool) -> str:
    value = row[name]
    if not isinstance(value, float):
        return str(value)
    form = "+.3f" if signed else ".3f"
    if np.isnan(value):
        return ""
    if f"{name}_low" not in row or pd.isna(row[f"{name}_low"]):
        return f"{value:{form}}"
    return f"{value:{form}} [{row[f'{name}_low']:{form}}, {row[f'{name}_high']:{form}}]"
