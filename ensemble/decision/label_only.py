"""A decision without masks: a gate on the classifiers' calibrated probability, and what its reports say."""

from __future__ import annotations

import pandas as pd

from ensemble.decision.decision import Decision
from ensemble.decision.report import points_table
from ensemble.evidence.evidence import Cases
from experiments.statistics import intervals
from experiments.statistics.arrays import Bools
from experiments.statistics.bootstrap import PatientDraws


def gate_table(label: Bools, called: Bools, draws: PatientDraws) -> pd.DataFrame:
    """One row: the gate's balanced accuracy with its interval, sensitivity and specificity, from its calls (N,)."""
    sensitivity, specificity = float(called[label].mean()), float((~called[~label]).mean())
    value = (sensitivity + specificity) / 2
    samples = (draws.ratio(called & label, label) + draws.ratio(~called & ~label, ~label)) / 2
    fewest = min(draws.patients(label), draws.patients(~label))
    low, high = intervals.score_interval(value, intervals.standard_error(samples, fewest), fewest)
    row = {"rule": "gate", "score": value, "low": low, "high": high}
    return pd.DataFrame(
        [{**row, "sensitivity": sensitivity, "specificity": specificity, "called": float(called.mean())}]
    )


def describe_fit(
    table: pd.DataFrame, decision: Decision, losses: dict[str, float], cases: Cases, masks_missing: str
) -> str:
    """reports/ensemble/rules.md of a decision without masks."""
    row = table.iloc[0]
    note = masks_missing or "there is no segmentation network (segmentation.models: [])"
    lines = [
        "# Decision without masks, out of fold",
        "",
        f"> **Note: {note}.** The decision is a gate on the classifiers' calibrated probability; no mask is ever drawn.",
        "",
        f"{len(cases):,} images of {len(set(cases.patient)):,} patients, {int(cases.label.sum()):,} with a "
        "pneumothorax. The gate is the cut of highest balanced accuracy (Youden 1950), fitted on cross-fitted "
        "probabilities. Its nested results:",
        "",
        "| rule | balanced accuracy (95 %) | sensitivity | specificity | called positive |",
        "|---|---|---|---|---|",
        f"| gate | {row['score']:.3f} ({row['low']:.3f} to {row['high']:.3f}) | {row['sensitivity']:.3f}"
        f" | {row['specificity']:.3f} | {row['called']:.1%} |",
        "",
        "## Probability of a pneumothorax",
        "",
        "| model | cross-fitted log loss |",
        "|---|---|",
        *[f"| {name} | {loss:.4f} |" for name, loss in losses.items()],
        "",
        "![Reliability before and after calibration](reliability.png)",
        "",
        "## Operating points",
        "",
        "Thresholds on the calibrated probability, fixed on nested out-of-fold predictions; `rule` is the gate.",
        "",
        *points_table(decision),
    ]
    return "\n".join(lines) + "\n"
