"""The report of one recipe's seeds: mean over seeds with its interval, and the variance by seed and by patient."""

from __future__ import annotations

import math

import pandas as pd

from experiments.compare import seed_variance, tables
from experiments.compare.measures import PARTS
from experiments.compare.runs import Result

MEASURES = {
    "nested": "score, out of fold",
    "kaggle_dice": "Kaggle Dice",
    "tnr": "TNR: negative images left empty",
    "dice_positive": "D⁺: Dice of the positive images",
    "auroc": "AUROC",
}


def table(found: Result) -> pd.DataFrame:
    """One row per measure: measure, images, mean, low, high, range over seeds (lowest, highest), and standard deviations.

    between_seeds: of the seeds' values; seed: due to training alone, without the sampling error of the patients; patient:
    standard error over patients of one training; mean_error: standard error of the mean over seeds; seed_share: of its variance
    that is due to seeds.
    """
    rows = []
    for measure in ("nested", *PARTS):
        of = tables.of_seeds(found, measure)
        if of is None:
            continue
        estimate, (low, high) = seed_variance.mean(of), tables.interval(of, measure)
        trained = of.seed_variance / len(of.value)
        rows.append(
            {
                "measure": measure,
                "mean": estimate.value,
                "low": low,
                "high": high,
                "lowest": of.value.min(),
                "highest": of.value.max(),
                "between_seeds": math.sqrt(of.mean_square),
                "seed": math.sqrt(of.seed_variance),
                "patient": math.sqrt(of.within),
                "mean_error": estimate.error,
                "seed_share": trained / estimate.error**2 if estimate.error > 0 else math.nan,
            }
        )
    return pd.DataFrame(rows)


def describe(found: Result, rows: pd.DataFrame, command: str) -> str:
    """The report as Markdown."""
    seeds, images = len(found.trainings), found.images
    lines = [
        f"# {found.name}: {seeds} seeds",
        "",
        f"The same recipe trained {seeds} times, with different initial weights, order and augmentation each time; "
        "data, folds and hold-out are the same. Each training has its own decision, fitted out of fold. Hold-out: "
        f"{len(images):,} images of {images['patient_id'].nunique():,} patients, opened once for each seed.",
        "",
        f"Command: `{command}`.",
        "",
        "| measure | mean over seeds (95 % interval) | lowest to highest | SD between seeds | SD due to the seed | "
        "SE over patients, one training | SE of the mean | due to the seed |",
        "|---|---|---|---|---|---|---|---|",
        *[_row(row) for row in rows.to_dict("records")],
        "",
        "The interval is that of the mean over seeds and allows for other patients and other seeds (Obuchowski & "
        "Rockette 1995, Hillis 2007). *SD due to the seed* is the spread that trainings would have on unlimited "
        "patients: the spread between seeds minus the part of the patients' sampling error that two trainings do "
        "not share. It is estimated from few trainings, and is 0 where the spread is within chance. *Due to the "
        "seed*: share of the variance of the mean.",
        "",
        "| seed | " + " | ".join(MEASURES[measure] for measure in rows["measure"]) + " |",
        "|---" * (len(rows) + 1) + "|",
        *_each(found, rows),
    ]
    return "\n".join(lines) + "\n"


def _row(row: dict) -> str:
    share = "–" if math.isnan(row["seed_share"]) else f"{row['seed_share']:.0%}"
    spread = [f"{row[name]:.4f}" for name in ("between_seeds", "seed", "patient", "mean_error")]
    cells = [
        MEASURES[row["measure"]],
        f"{row['mean']:.3f} ({row['low']:.3f} to {row['high']:.3f})",
        f"{row['lowest']:.3f} to {row['highest']:.3f}",
        *spread,
        share,
    ]
    return f"| {' | '.join(cells)} |"


def _each(found: Result, rows: pd.DataFrame) -> list[str]:
    """One row per seed with its values."""
    values = {measure: tables.of_seeds(found, measure) for measure in rows["measure"]}
    return [
        f"| {of.seeds} | "
        + " | ".join(f"{one.value[k]:.4f}" for one in values.values() if one is not None)
        + " |"
        for k, of in enumerate(found.trainings)
    ]
