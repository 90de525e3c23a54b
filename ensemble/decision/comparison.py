"""The table of rules: the score of each on images that it was not fitted to, with intervals, and the optimism of its own fit."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ensemble.evidence.evidence import Cases
from ensemble.evidence.histograms import NOTHING
from ensemble.metrics import breakdown
from experiments.statistics.arrays import Bools, Floats, Ints
from experiments.statistics.bootstrap import PatientDraws
from experiments.statistics.intervals import plain_interval, score_interval, standard_error


def rule_row(name: str, dice: Floats, submitted: Bools, label: Bools, draws: PatientDraws) -> dict:
    """One rule's score with its interval and its parts."""
    parts = breakdown(dice, label)
    error = standard_error(draws.mean(dice), draws.patients())
    low, high = score_interval(parts.score, error, draws.patients())
    return {
        "rule": name,
        "score": parts.score,
        "low": low,
        "high": high,
        "tnr": parts.tnr,
        "dice_positive": parts.dice_positive,
        "submitted": float(submitted.mean()),
    }


def compare(
    dice: dict[str, Floats],
    submitted: dict[str, Bools],
    skipped: dict[str, Bools],
    cases: Cases,
    chosen: str,
    draws: PatientDraws,
) -> pd.DataFrame:
    """One row per rule and one for empty masks, with the paired difference from the chosen rule; best first."""
    empty = np.where(cases.label, 0.0, 1.0)
    rows = []
    for name, values in {**dice, "(all empty)": empty}.items():
        drawn = submitted.get(name, np.zeros(len(cases), bool))
        share_skipped = float(skipped[name].mean()) if name in skipped else float("nan")
        gap = values - dice[chosen]
        error = standard_error(draws.mean(gap), draws.patients())
        low, high = plain_interval(float(gap.mean()), error, draws.patients())
        row = rule_row(name, values, drawn, cases.label, draws)
        rows.append(
            row
            | {
                "skipped": share_skipped,
                "difference": float(gap.mean()),
                "difference_low": low,
                "difference_high": high,
            }
        )
    return pd.DataFrame(rows).sort_values("score", ascending=False, kind="stable", ignore_index=True)


def submitted_at(level: Ints, cases: Cases) -> Bools:
    """Whether each image gets a mask with any pixel."""
    return cases.evidence.above[np.arange(len(cases)), np.minimum(level, NOTHING)] > 0


def to_markdown(table: pd.DataFrame, chosen: str, optimism: bool) -> str:
    """The table as Markdown; the chosen rule in bold."""
    head = ["rule", "score", "95 % interval", "TNR", "D⁺", "masks", "skipped", f"against {chosen}"]
    head += ["in-sample", "optimism"] if optimism else []
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in table.to_dict("records"):
        name = f"**{row['rule']}**" if row["rule"] == chosen else str(row["rule"])
        gap = (
            ""
            if row["rule"] == chosen
            else f"{row['difference']:+.4f} ({row['difference_low']:+.4f} to {row['difference_high']:+.4f})"
        )
        skipped = "" if pd.isna(row["skipped"]) else f"{row['skipped']:.0%}"
        cells = [name, f"{row['score']:.4f}", f"{row['low']:.4f} to {row['high']:.4f}", f"{row['tnr']:.4f}"]
        cells += [f"{row['dice_positive']:.4f}", f"{row['submitted']:.1%}", skipped, gap]
        if optimism:
            known = not pd.isna(row["apparent"])
            cells += [f"{row['apparent']:.4f}", f"{row['optimism']:+.4f}"] if known else ["", ""]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
