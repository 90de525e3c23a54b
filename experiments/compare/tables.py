"""Experiments side by side as tables: metrics with intervals, paired differences, the ends of the curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from experiments.compare import seed_variance
from experiments.compare.measures import PARTS, trainings
from experiments.compare.runs import Curve, Result
from experiments.compare.seed_variance import Trainings

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
"""What experiments are ranked and compared by; the hold-out only on request, since choosing by it makes its score
optimistic."""
ONE_EACH = "one training each: the difference may be due to the seed"


def results(found: list[Result]) -> pd.DataFrame:
    """One row per experiment; for each metric its value and, as `<metric>_low` and `<metric>_high`, its 95 % interval.

    With several seeds: the mean over them, with an interval over seeds and patients where the per-image table allows one."""
    rows = []
    for one in found:
        row: dict[str, object] = {
            "experiment": one.name, "made": one.made, "seeds": len(one.trainings), "images": len(one.images)
        }  # fmt: skip
        for metric in COLUMNS:
            measured = over_seeds(one, metric)
            row |= {metric: measured.get("value")}
            row |= {f"{metric}_{end}": measured.get(end) for end in ("low", "high")}
        rows.append(row)
    return pd.DataFrame(rows).dropna(axis="columns", how="all")


def over_seeds(one: Result, metric: str) -> dict[str, float | None]:
    """A metric of an experiment as {value, low, high}: its own value with one seed, else the mean over seeds."""
    each = [of.nested if metric == "nested" else of.metrics.get(metric, {}) for of in one.trainings]
    if len(each) == 1:
        return each[0]
    values = [of.get("value") for of in each]
    if any(value is None for value in values):
        return {}
    value = float(np.mean([value for value in values if value is not None]))
    of = of_seeds(one, metric)
    low, high = (None, None) if of is None else interval(of, metric)
    return {"value": value, "low": low, "high": high}


def of_seeds(one: Result, metric: str) -> Trainings | None:
    """A metric of each seed with the patients' shares, from the tables of images; None where these do not contain it."""
    tables = [of.out_of_fold if metric == "nested" else of.images for of in one.trainings]
    part = "kaggle_dice" if metric == "nested" else metric
    known = [table for table in tables if table is not None]
    return trainings(aligned(known), part) if part in PARTS and len(known) == len(tables) else None


def interval(of: Trainings, metric: str) -> seed_variance.Ends:
    """95 % interval of a mean over seeds, for other patients and other seeds."""
    form = seed_variance.area_interval if metric == "auroc" else seed_variance.rate_interval
    return form(seed_variance.mean(of), of.patients)


def aligned(tables: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """The rows of the images that all tables have, in one order, with the first table's patients: the pseudonym of a patient
    depends on the images in the table."""
    common = set(tables[0]["image_id"]).intersection(*(table["image_id"] for table in tables[1:]))
    order = [image_id for image_id in tables[0]["image_id"] if image_id in common]
    rows = [table.set_index("image_id").loc[order].reset_index() for table in tables]
    return [table.assign(patient_id=rows[0]["patient_id"]) for table in rows]


def ranked(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """The table of `results`, best first by the out-of-fold or the hold-out score; experiments without that score last."""
    column = "kaggle_dice" if by == "holdout" else "nested"
    if column not in table:
        return table
    return table.sort_values(column, ascending=False, kind="stable", ignore_index=True)


def difference(one: Result, base: Result, by: str = "holdout") -> dict[str, object]:
    """Mean scores of `one` minus those of `base`, on the images that both have: paired over patients, unpaired over seeds.

    by: of BY; out of fold where all have the table of out-of-fold predictions, else on the hold-out (column `on`).
    The parts are those of `measures.PARTS`, with 95 % intervals. Raises ValueError where the two have no image in common or
    different labels.
    """
    each = [*one.trainings, *base.trainings]
    out_of_fold = [of.out_of_fold for of in each if of.out_of_fold is not None]
    inner = by != "holdout" and len(out_of_fold) == len(each)
    tables = aligned(out_of_fold if inner else [of.images for of in each])
    if tables[0].empty:
        raise ValueError(f"{one.name} and {base.name} have no image in common: no paired difference")
    if any((table["label"] != tables[0]["label"]).any() for table in tables):
        raise ValueError(f"{one.name} and {base.name} have different labels: no paired difference")
    count = len(one.trainings)
    row: dict[str, object] = {
        "experiment": one.name,
        "baseline": base.name,
        "on": "out-of-fold" if inner else "holdout",
        "images": len(tables[0]),
        "seeds": f"{count} and {len(base.trainings)}",
    }
    for part in PARTS:
        row |= _gap(trainings(tables[:count], part), trainings(tables[count:], part), part)
    return row | {"note": _note(one, base)}


def _gap(one: Trainings | None, base: Trainings | None, part: str) -> dict[str, float]:
    """A part's difference and its interval; NaN where it is undefined."""
    if one is None or base is None:
        return dict.fromkeys((part, f"{part}_low", f"{part}_high"), np.nan)
    gap = seed_variance.difference(one, base)
    low, high = seed_variance.difference_interval(gap, one.patients)
    return {part: gap.value, f"{part}_low": low, f"{part}_high": high}


def _note(one: Result, base: Result) -> str:
    """What the interval does not cover."""
    single = [of.name for of in (one, base) if not of.others]
    if len(single) == 2:
        return ONE_EACH
    if single:
        return f"{single[0]} was trained once; its seed variance is assumed to equal the other's"
    return "over seeds and patients"


def curves(found: list[Curve]) -> pd.DataFrame:
    """One row per training or trial: the last values of its curves."""
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
