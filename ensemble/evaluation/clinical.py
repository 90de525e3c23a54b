"""Operating points on the hold-out: counts, rates with intervals, predictive values against prevalence, and net benefit.

The thresholds come from the decision and were fixed out of fold; nothing is chosen here.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ensemble.decision.operating_points import OperatingPoint
from ensemble.evaluation.holdout_metrics import Measure, mean_of
from experiments.statistics.arrays import Bools, Floats
from experiments.statistics.bootstrap import PatientDraws

RATES = ("sensitivity", "specificity", "ppv", "npv")
PREVALENCES = np.round(np.geomspace(0.001, 0.5, 60), 6)
THRESHOLDS = np.round(np.arange(0.01, 0.81, 0.01), 2)


def operating_points(
    table: pd.DataFrame, points: Sequence[OperatingPoint], draws: PatientDraws
) -> pd.DataFrame:
    """One row per point: threshold, counts (tp, fn, fp, tn), rates and images flagged for one true positive, with intervals.

    table: per_image with label, prob, submitted.
    """
    label, prob = table["label"].to_numpy(bool), table["prob"].to_numpy(np.float64)
    submitted = table["submitted"].to_numpy(bool)
    return pd.DataFrame([_row(point, label, point.flagged(prob, submitted), draws) for point in points])


def _row(point: OperatingPoint, label: Bools, flagged: Bools, draws: PatientDraws) -> dict[str, object]:
    rates = {
        "sensitivity": mean_of(flagged.astype(float), label, draws),
        "specificity": mean_of((~flagged).astype(float), ~label, draws),
        "ppv": mean_of(label.astype(float), flagged, draws),
        "npv": mean_of((~label).astype(float), ~flagged, draws),
    }
    hits = int((flagged & label).sum())
    row: dict[str, object] = {
        "name": point.name,
        "threshold": point.threshold,
        "tp": hits,
        "fn": int((~flagged & label).sum()),
        "fp": int((flagged & ~label).sum()),
        "tn": int((~flagged & ~label).sum()),
    }
    for name, measure in rates.items():
        row |= {name: measure["value"], f"{name}_low": measure["low"], f"{name}_high": measure["high"]}
    return row | _number_to_flag(rates["ppv"])


def _number_to_flag(ppv: Measure) -> dict[str, float]:
    """Images flagged for one true positive, the reciprocal of the PPV, with its interval; infinity at a PPV of 0."""
    low, high = ppv["low"], ppv["high"]
    if not ppv["value"] or low is None or high is None:
        return dict.fromkeys(("number_to_flag", "number_to_flag_low", "number_to_flag_high"), np.nan)
    most = 1 / low if low > 0 else np.inf
    return {"number_to_flag": 1 / ppv["value"], "number_to_flag_low": 1 / high, "number_to_flag_high": most}


def predictive_values(sensitivity: float, specificity: float, prevalence: Floats) -> tuple[Floats, Floats]:
    """PPV and NPV (K,) at other prevalences (K,), sensitivity and specificity unchanged (Bayes' theorem)."""
    tp, fp = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    tn, fn = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    with np.errstate(invalid="ignore", divide="ignore"):
        return tp / (tp + fp), tn / (tn + fn)


def by_prevalence(points: pd.DataFrame) -> pd.DataFrame:
    """PPV and NPV of each operating point at PREVALENCES."""
    rows = []
    for point in points.to_dict("records"):
        ppv, npv = predictive_values(point["sensitivity"], point["specificity"], PREVALENCES)
        rows.append(pd.DataFrame({"name": point["name"], "prevalence": PREVALENCES, "ppv": ppv, "npv": npv}))
    return pd.concat(rows, ignore_index=True)


def net_benefit(label: Bools, prob: Floats, thresholds: Floats = THRESHOLDS) -> pd.DataFrame:
    """Decision curve (Vickers & Elkin 2006): net benefit of flagging at each threshold, of flagging all, of flagging none.

    Net benefit: true positives per image, minus false positives per image weighted by the odds of the threshold.
    """
    odds = thresholds / (1 - thresholds)
    flagged = prob[None] >= thresholds[:, None]
    prevalence = label.mean()
    return pd.DataFrame(
        {
            "threshold": thresholds,
            "model": (flagged & label).mean(axis=1) - odds * (flagged & ~label).mean(axis=1),
            "flag_all": prevalence - odds * (1 - prevalence),
            "flag_none": 0.0,
        }
    )


def to_markdown(points: pd.DataFrame) -> str:
    """The operating points as Markdown: `0.867 (0.738 to 0.937), 39/45`."""
    head = ["operating point", "flagged if", *(name.upper() if len(name) == 3 else name for name in RATES)]
    lines = ["| " + " | ".join([*head, "flagged for one true positive"]) + " |", "|---" * 7 + "|"]
    for row in points.to_dict("records"):
        counts = {
            "sensitivity": (row["tp"], row["tp"] + row["fn"]),
            "specificity": (row["tn"], row["tn"] + row["fp"]),
            "ppv": (row["tp"], row["tp"] + row["fp"]),
            "npv": (row["tn"], row["tn"] + row["fn"]),
        }
        cells = [_rate(row, name, *counts[name]) for name in RATES]
        flagged = "a mask is drawn" if pd.isna(row["threshold"]) else f"p ≥ {row['threshold']:.3g}"
        number = "–" if pd.isna(row["number_to_flag"]) else _number(row)
        lines.append("| " + " | ".join([str(row["name"]), flagged, *cells, number]) + " |")
    return "\n".join(lines)


def _number(row: Mapping[Hashable, Any]) -> str:
    value, low, high = (row[f"number_to_flag{end}"] for end in ("", "_low", "_high"))
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def _rate(row: Mapping[Hashable, Any], name: str, hits: object, of: object) -> str:
    measure: Measure = {"value": row[name], "low": row[f"{name}_low"], "high": row[f"{name}_high"]}
    if pd.isna(measure["value"]):
        return "–"
    return f"{measure['value']:.3f} ({measure['low']:.3f} to {measure['high']:.3f}), {hits}/{of}"
