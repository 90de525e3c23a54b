"""Local recalibration: a bundle's calibration, and on request its decision, refitted to other data; measured cross-fitted.

Calibration is refitted as a line on the logit of the bundle's own probability (slope and intercept; Platt's smoothed targets):
two numbers, for which a few dozen positive images suffice. The order of the images stays, and so does the AUROC.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ensemble import metrics
from ensemble.decision import cascade, crossfit, operating_points
from ensemble.decision.decision import Decision
from ensemble.evaluation.holdout_metrics import Measured, mean_of
from ensemble.evidence import calibration
from ensemble.evidence.calibration import Sigmoid, Steps
from ensemble.evidence.evidence import Cases
from ensemble.evidence.probability import Calibrated, Stacked
from ensemble.rules import RULES
from ensemble.validation.measures import measure
from experiments.settings.decision import EnsembleSettings
from experiments.statistics import intervals
from experiments.statistics.arrays import Bools, Floats, Ints
from experiments.statistics.bootstrap import PatientDraws
from experiments.statistics.nested_score import patient_groups

LEAST = 20
"""Images of each kind that a line needs; with fewer it would overfit."""
MEASURES = ("calibration_slope", "observed_expected", "brier", "log_loss")
"""Not the AUROC: a line does not change the order, and pooled over five lines with slopes near 0 it would be an artefact."""


@dataclass(frozen=True)
class Recalibrated:
    """decision: refitted on all images. level, prob, calibrated: (N,) by decisions that were refitted without the image's
    group of patients. line: slope and intercept on the logit of the old probability."""

    decision: Decision
    level: Ints
    prob: Floats
    calibrated: Floats
    line: Sigmoid


Refit = Callable[[Bools], Decision]
"""Training rows (N,) -> the decision refitted to them alone."""


def fit(
    decision: Decision, cases: Cases, label: Bools, settings: EnsembleSettings, refit_decision: bool
) -> Recalibrated:
    """Refit on all images, and cross-fitted over five groups of patients. label: (N,), for images with no mask too."""
    _check(label)
    group = patient_groups(cases.patient)

    def refit(train: Bools) -> Decision:
        line = recalibrate(decision, cases.take(train), label[train])
        if not refit_decision:
            return line
        return refit_rule(line, cases.take(train), group[train], settings)

    level, (prob, calibrated) = np.zeros(len(cases), np.int64), np.zeros((2, len(cases)))
    for g in np.unique(group):
        inside = group == g
        others = refit(~inside if not inside.all() else inside)
        level[inside], prob[inside] = crossfit.apply(others, cases.take(inside))
        calibrated[inside] = others.calibrator(_raw(others, cases.take(inside)))
    line = _line(_prob(decision, cases), label)
    return Recalibrated(refit(np.ones(len(cases), bool)), level, prob, calibrated, line)


def recalibrate(decision: Decision, cases: Cases, label: Bools) -> Decision:
    """The decision with both of its calibrations refitted; operating points move along, so that they flag the same images."""
    line = _line(_prob(decision, cases), label)
    alone = _line(decision.calibrator(_raw(decision, cases)), label)
    points = [
        point
        if point.threshold is None
        else point.model_copy(update={"threshold": float(line(np.array([point.threshold]))[0])})
        for point in decision.operating_points
    ]
    return decision.model_copy(
        update={
            "probability": _after(decision.probability, line),
            "calibrator": after(decision.calibrator, alone),
            "operating_points": points,
        }
    )


def refit_rule(decision: Decision, cases: Cases, group: Ints, settings: EnsembleSettings) -> Decision:
    """The decision with the rule of the same kind, its floor and its operating points refitted; needs the masks of all images."""
    evidence = crossfit.as_batch(decision, cases)[1]
    seen = cases.with_prob(evidence.prob)
    rule: Any = RULES[decision.rule.kind].fit(seen, settings.reference_pixels)
    level = rule.thresholds(seen.evidence)
    cascaded = settings.cascade and bool(decision.classifiers)
    floor = cascade.fit_floor(seen, level, group, settings.cascade_cost) if cascaded else 0.0
    made = decision.model_copy(update={"rule": rule, "floor": floor})
    level, prob = crossfit.apply(made, cases)
    submitted = cases.evidence.above[np.arange(len(cases)), level] > 0
    points = operating_points.fit(cases.label, prob, submitted, settings.operating_points)
    return made.model_copy(update={"operating_points": points})


def after(calibrator: Sigmoid | Steps, line: Sigmoid) -> Sigmoid | Steps:
    """One calibrator for both steps: first the old one, then the line."""
    if isinstance(calibrator, Sigmoid):
        return Sigmoid(
            kind="platt",
            slope=line.slope * calibrator.slope,
            intercept=line.slope * calibrator.intercept + line.intercept,
        )
    return Steps(x=calibrator.x, y=line(np.array(calibrator.y)).tolist())


def _after(probability: Calibrated | Stacked, line: Sigmoid) -> Calibrated | Stacked:
    if isinstance(probability, Calibrated):
        return Calibrated(calibrator=after(probability.calibrator, line))
    regression = probability.regression
    scaled = {
        "weight": [weight * line.slope for weight in regression.weight],
        "intercept": regression.intercept * line.slope + line.intercept,
    }
    return Stacked(regression=regression.model_copy(update=scaled))


def _line(prob: Floats, label: Bools) -> Sigmoid:
    fitted = calibration.fit("platt", prob, label)
    assert isinstance(fitted, Sigmoid)
    return fitted


def _raw(decision: Decision, cases: Cases) -> Floats:
    return crossfit.reweighted(cases, decision.probability_weights, decision.classifier_average).evidence.raw


def _prob(decision: Decision, cases: Cases) -> Floats:
    """The probability (N,) that the rule sees."""
    return crossfit.as_batch(decision, cases)[1].prob


def _check(label: Bools) -> None:
    positives = int(label.sum())
    if min(positives, len(label) - positives) < LEAST:
        raise ValueError(
            f"--recalibrate: {positives} positive of {len(label)} images; at least {LEAST} of each kind are needed"
        )


def compare(
    table: pd.DataFrame, found: Recalibrated, cases: Cases, draws: PatientDraws, bins: int
) -> tuple[pd.DataFrame, Measured]:
    """One row per measure: before, after (cross-fitted), each with its interval, and the paired difference where there is one;
    and all measures afterwards.

    table: of the images, before. Masks are compared before post-processing, where all of them are known.
    """
    new = table.assign(prob=found.prob, calibrated=found.calibrated)
    if table["dice"].notna().all():
        dice = cases.dice_at(found.level)
        predicted = cases.evidence.above[np.arange(len(cases)), found.level].astype(np.int64)
        new = new.assign(
            dice=dice, iou=metrics.iou_of_dice(dice), predicted_area=predicted, submitted=predicted > 0
        )
    before, later = (measure(one, draws, bins) for one in (table, new))
    rows = [_row(name, before, later) for name in MEASURES]
    label, patients = table["label"].to_numpy(float), draws.patients()
    loss = (new["prob"] - label) ** 2 - (table["prob"] - label) ** 2
    gap = float(loss.mean())
    ends = intervals.plain_interval(
        gap, intervals.standard_error(draws.mean(loss.to_numpy()), patients), patients
    )
    rows[MEASURES.index("brier")] |= {
        "difference_value": gap,
        "difference_low": ends[0],
        "difference_high": ends[1],
    }
    if table["dice"].notna().all():
        rows += _masks(table["label"].to_numpy(bool), cases, found, draws, table["level"].to_numpy(np.int64))
    return pd.DataFrame(rows), later


def _masks(
    label: Bools, cases: Cases, found: Recalibrated, draws: PatientDraws, level: Ints
) -> list[dict[str, Any]]:
    """Score, TNR and D⁺ of the masks before and after, with paired differences."""
    old, new, rows = cases.dice_at(level), cases.dice_at(found.level), []
    for name, inside in (
        ("kaggle_dice", np.ones(len(label), bool)),
        ("tnr", ~label),
        ("dice_positive", label),
    ):
        before, later = ({name: mean_of(dice, inside, draws)} for dice in (old, new))
        patients = draws.patients(inside)
        error = intervals.standard_error(draws.ratio((new - old) * inside, inside), patients)
        gap = float((new - old)[inside].mean())
        low, high = intervals.plain_interval(gap, error, patients)
        rows.append(
            _row(name, before, later)
            | {"difference_value": gap, "difference_low": low, "difference_high": high}
        )
    return rows


def _row(name: str, before: Measured, later: Measured) -> dict[str, Any]:
    row: dict[str, Any] = {"measure": name}
    for side, one in (("before", before[name]), ("after", later[name])):
        row |= {f"{side}_{end}": one[end] for end in ("value", "low", "high")}
    return row
