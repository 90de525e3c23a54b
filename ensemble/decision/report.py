"""reports/ensemble/rules.md in words."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ensemble.decision.comparison import to_markdown
from ensemble.decision.decision import Decision
from ensemble.evidence.evidence import Cases
from ensemble.evidence.probability import groups
from ensemble.metrics import expected_calibration_error, log_loss
from ensemble.rules.expected_value import ExpectedValue, ExpectedValuePerImage
from experiments.statistics.arrays import Floats
from imaging.map_levels import label


def describe(
    table: pd.DataFrame,
    decision: Decision,
    losses: dict[str, float],
    cases: Cases,
    probs: dict[str, Floats],
    masks_missing: str = "",
) -> str:
    """The report: how the rules compare, which probability was chosen, what the decision says."""
    parts = len(np.unique(groups(cases)))
    lines = [
        "# Decision rules, compared out of fold",
        "",
        *([f"> **Note: {masks_missing}.**", ""] if masks_missing else []),
        f"{len(cases):,} images of {len(set(cases.patient)):,} patients, {int(cases.label.sum()):,} with a pneumothorax. "
        f"Every score is nested: for each of {parts} parts of the patients, ensemble weights, calibration and rule were "
        "fitted on the others. Intervals: 95 %, drawn over patients; `against` is the paired difference on the same draws. "
        "`optimism`: how much higher the rule scores on the images it was fitted to.",
        "",
        to_markdown(table, decision.rule.kind, optimism=True),
        "",
        "![Score over the triplet's two levels](search_surface.png)",
        "",
        "## Probability of a pneumothorax",
        "",
        *_probability(losses, decision, cases, probs),
        "",
        "![Reliability before and after calibration](reliability.png)",
        "",
        "## The decision",
        "",
        *_decision(decision, cases),
        "",
        "## Operating points",
        "",
        "Thresholds on the calibrated probability, fixed on nested out-of-fold predictions.",
        "",
        *points_table(decision),
    ]
    return "\n".join(lines) + "\n"


def _probability(
    losses: dict[str, float], decision: Decision, cases: Cases, probs: dict[str, Floats]
) -> list[str]:
    """Which model of the probability was chosen, and what calibration did."""
    rows = [f"| {name} | {loss:.4f} |" for name, loss in losses.items()]
    kind = decision.probability.kind
    chosen = kind if kind == "stacked" else getattr(decision.probability, "calibrator").kind  # noqa: B009
    raw = "classifier ensemble" if decision.classifiers else "pooled mask evidence"
    return [
        "| model | cross-fitted log loss |",
        "|---|---|",
        *rows,
        "",
        f"Chosen: {chosen}. Its effect, nested:",
        "",
        f"| {raw} | expected calibration error | log loss |",
        "|---|---|---|",
        *[
            f"| {name} | {expected_calibration_error(cases.label, prob):.3f} | {log_loss(cases.label, prob):.3f} |"
            for name, prob in probs.items()
        ],
    ]


def _decision(decision: Decision, cases: Cases) -> list[str]:
    """The chosen rule's numbers, and how many images the mask models need not see."""
    lines = [
        f"- rule: `{decision.rule.kind}`",
        f"- classifiers: {_weights(decision.classifiers) or 'none; the raw probability is the pooled mask evidence'}",
        f"- mask models: {_weights(decision.masks.weights)}, averaged by {decision.masks.average}",
        f"- {_cascade(decision, cases)}",
    ]
    if isinstance(decision.rule, ExpectedValue | ExpectedValuePerImage):
        regression = decision.rule.dice
        order = np.argsort(-np.abs(regression.weight))
        terms = ", ".join(f"{regression.features[k]} {regression.weight[k]:+.2f}" for k in order)
        where = (
            f"at {label(decision.rule.level)}"
            if isinstance(decision.rule, ExpectedValue)
            else "where their expected Dice is largest"
        )
        lines.append(
            f"- masks are cut {where}; the expected Dice is computed from (standardised weights) {terms}"
        )
    else:
        numbers = {
            key: value for key, value in decision.rule.model_dump().items() if isinstance(value, int | float)
        }
        cut = decision.rule.probabilities()
        lines.append(
            "- "
            + ", ".join(
                f"{key} {value:.4g}" + (f" (p ≥ {label(int(value))})" if key in cut else "")
                for key, value in numbers.items()
            )
        )
    return lines


def _cascade(decision: Decision, cases: Cases) -> str:
    """How many images the mask models skip, and below which probability."""
    if not decision.classifiers:
        return "no cascade: without classifiers the mask models see every image"
    bound = decision.lower_bound()
    skipped = float(np.mean(cases.evidence.raw < bound))
    floor = f" (floor {decision.floor:.3g})" if decision.floor else ""
    return f"no mask below a classifier probability of {bound:.3g}: the mask models skip {skipped:.0%} of these images{floor}"


def points_table(decision: Decision) -> list[str]:
    """The operating points as a table."""
    lines = ["| operating point | flagged if | sensitivity | specificity |", "|---|---|---|---|"]
    for point in decision.operating_points:
        flagged = "a mask is drawn" if point.threshold is None else f"p ≥ {point.threshold:.4g}"
        lines.append(f"| {point.name} | {flagged} | {point.sensitivity:.3f} | {point.specificity:.3f} |")
    return lines


def _weights(weights: dict[str, float]) -> str:
    return ", ".join(f"{name} {weight:.2f}" for name, weight in weights.items())
