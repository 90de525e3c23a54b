"""The evaluation's report.md of a decision without masks: what image-level labels allow, and nothing of masks."""

from __future__ import annotations

from ensemble.evaluation import ledger, subgroups
from ensemble.evaluation.report import (
    CURVES,
    LABEL_ONLY,
    HoldoutResults,
    heading,
    images,
    in_words,
    operating_points,
    probability_table,
)

NO_MASKS = (
    "> **No masks: there is no segmentation network, no mask is drawn, and there is no Dice.** The decision is a gate on the"
    " classifiers' calibrated probability, fitted to image-level labels."
)


def describe(found: HoldoutResults) -> str:
    """The report as Markdown."""
    measured, gate = found.measured, found.rules.iloc[0]
    lines = [
        *heading([NO_MASKS, *found.warnings]),
        f"{found.size}; prevalence {in_words(measured['prevalence'])}. Neither training nor the fit of calibration and gate used"
        " them. Intervals: 95 %, over patients; they do not cover the variance between trainings (docs/seeds.md).",
        "",
        ledger.sentence(found.openings),
        "",
        f"The gate calls an image positive from a probability of {found.decision.rule.least_prob():.3f}: balanced accuracy"
        f" {gate['score']:.3f} ({gate['low']:.3f} to {gate['high']:.3f}), sensitivity {gate['sensitivity']:.3f}, specificity"
        f" {gate['specificity']:.3f}, {gate['called']:.1%} called positive. Nested out of fold it had {found.nested:.3f}.",
        "",
        "## Probability of a pneumothorax",
        "",
        *probability_table(measured, LABEL_ONLY),
        "",
        *operating_points(found.points, ", `rule` is the gate"),
        *images(
            {
                "predictive_values": "PPV and NPV against prevalence",
                "decision_curve": "Decision curve",
                **CURVES,
            }
        ),
        "## Subgroups",
        "",
        f"Groups of fewer than {subgroups.SMALLEST} images are counted and not measured. Scores of masks do not exist.",
        "",
        subgroups.to_markdown(found.groups),
    ]
    return "\n".join(lines) + "\n"
