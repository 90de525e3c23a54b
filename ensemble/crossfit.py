"""Fit decisions, and measure what a fitted decision is worth on images it has not seen.

Nested: for each fold everything (committee weights, calibration, rule) is fitted again on the other folds and applied to it.
Within them the probabilities that the rule is fitted to are cross-fitted once more. The committee of mask models alone is
fitted once, on all: it has at most a few numbers, found from pixels and not from the score."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble import calibration, probability
from ensemble.cases import Cases
from ensemble.committee import MaskCommittee
from ensemble.decision import Decision
from ensemble.finish import Finish
from ensemble.histograms import NOTHING
from ensemble.probability import committee, learn_weights
from ensemble.rules import RULES
from experiments.decision_settings import EnsembleSettings

Ints = NDArray[np.int64]


def reweighted(cases: Cases, weights: NDArray[np.float64]) -> Cases:
    """The same images under another classifier committee."""
    raw = committee(cases.evidence.members, weights)
    return replace(cases, evidence=replace(cases.evidence, raw=raw, prob=raw))


def fit(
    cases: Cases, names: list[str], kinds: Iterable[str], masks: MaskCommittee, settings: EnsembleSettings
) -> tuple[dict[str, Decision], dict[str, float]]:
    """A decision for each kind of rule, all with the same probability; and the cross-fitted log loss of each probability tried.

    names: the classifiers, in the order of the columns of `cases.evidence.members`.
    """
    weights = _classifier_weights(cases, settings)
    cases = reweighted(cases, weights)
    model, prob, losses = probability.fit(cases, probability.groups(cases), settings)
    seen = cases.with_prob(prob)
    decisions = {}
    for kind in kinds:
        rule: Any = RULES[kind].fit(seen, settings.reference_pixels)
        decisions[kind] = Decision(
            classifiers=dict(zip(names, map(float, weights), strict=True)),
            masks=masks,
            probability=model,
            calibrator=_calibrator(cases, model),
            rule=rule,
            floor=_floor(seen, rule.thresholds(seen.evidence))
            if settings.cascade and rule.uses_probability
            else 0.0,
            finish=finish_of(settings),
        )
    return decisions, losses


def apply(decision: Decision, cases: Cases) -> tuple[Ints, NDArray[np.float64]]:
    """Levels (N,) and calibrated probabilities (N,) of images as one batch."""
    cases = reweighted(cases, decision.classifier_weights)
    evidence = decision.seen(cases.evidence)
    return decision.for_batch(evidence).thresholds(evidence), evidence.prob


def nested(
    cases: Cases, names: list[str], kinds: list[str], masks: MaskCommittee, settings: EnsembleSettings
) -> tuple[dict[str, Ints], NDArray[np.float64]]:
    """Levels (N,) by kind of rule, and probabilities (N,): each image's from decisions fitted without its group."""
    group = probability.groups(cases)
    levels = {kind: np.full(len(cases), NOTHING, np.int64) for kind in kinds}
    prob = np.zeros(len(cases))
    for g in np.unique(group):
        inside = group == g
        decisions, _ = fit(cases.take(~inside), names, kinds, masks, settings)
        for kind, decision in decisions.items():
            levels[kind][inside], prob[inside] = apply(decision, cases.take(inside))
    return levels, prob


def finish_of(settings: EnsembleSettings) -> Finish:
    """The last touches that the settings ask for."""
    return Finish(
        min_component=settings.min_component,
        fill_holes=settings.fill_holes,
        dilate=settings.dilate,
        reference=settings.reference_pixels,
    )


def _classifier_weights(cases: Cases, settings: EnsembleSettings) -> NDArray[np.float64]:
    count = cases.evidence.members.shape[1]
    if settings.weights == "equal":
        return np.full(count, 1 / count)
    return learn_weights(cases.evidence.members, cases.label, settings.shrinkage)


def _calibrator(
    cases: Cases, model: probability.Calibrated | probability.Stacked
) -> calibration.Sigmoid | calibration.Steps:
    """Of the classifier alone: the probability's own, or Platt's beside a stacked one."""
    if isinstance(model, probability.Calibrated):
        return model.calibrator
    return calibration.fit("platt", cases.evidence.raw, cases.label)


def _floor(cases: Cases, level: Ints) -> float:
    """Lowest raw probability at which any image got a mask; 0 if none did."""
    raw = cases.evidence.raw[level < NOTHING]
    return float(raw.min()) if len(raw) else 0.0
