"""Fit decisions, and score them on images that they were not fitted to.

Nested: for each group everything (mask ensemble, classifiers' weights, calibration, rule, floor) is fitted again on the other
groups and applied to it. Within them the probabilities that the rule is fitted to are cross-fitted once more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ensemble.decision import cascade
from ensemble.decision.decision import Decision
from ensemble.decision.postprocess import PostProcessing
from ensemble.evidence import calibration, probability
from ensemble.evidence.evidence import Cases, Evidence, concatenate
from ensemble.evidence.mask_average import MaskEnsemble
from ensemble.evidence.probability import ensemble_probability, learn_weights
from ensemble.rules import RULES
from ensemble.rules.gate import Gate
from ensemble.rules.triplet import Triplet
from experiments.settings.decision import EnsembleSettings, Space
from experiments.statistics.arrays import Bools, Floats, Ints
from experiments.statistics.nested_score import patient_groups

FittedOn = Callable[[Bools], tuple[MaskEnsemble, Cases]]
"""Training rows (N,) -> the ensemble of mask models fitted to them alone, and all N cases as this ensemble sees them."""


@dataclass(frozen=True)
class Nested:
    """Predictions for N images by decisions that were fitted without them, and the images as the ensembles of these decisions
    see them.

    levels, skipped: (N,) by kind of rule; raw, calibrated, prob: (N,) the classifier ensemble (without one, the pooled mask
    evidence) as it is, calibrated, and as the rules saw it (which differs only where it is stacked)."""

    cases: Cases
    levels: dict[str, Ints]
    skipped: dict[str, Bools]
    raw: Floats
    calibrated: Floats
    prob: Floats

    def with_masks(self) -> Nested:
        """Of the images whose mask is known."""
        known = self.cases.has_mask
        if known.all():
            return self
        parts = {name: getattr(self, name)[known] for name in ("raw", "calibrated", "prob")}
        return Nested(
            cases=self.cases.with_masks(),
            levels={kind: level[known] for kind, level in self.levels.items()},
            skipped={kind: those[known] for kind, those in self.skipped.items()},
            **parts,
        )


def reweighted(cases: Cases, weights: Floats, space: Space = "logit") -> Cases:
    """The same images under other weights of the models that give the probability."""
    raw = ensemble_probability(cases.evidence.members, weights, space)
    return replace(cases, evidence=replace(cases.evidence, raw=raw, prob=raw))


def fit(
    cases: Cases, names: list[str], kinds: Iterable[str], masks: MaskEnsemble, settings: EnsembleSettings
) -> tuple[dict[str, Decision], dict[str, float]]:
    """A decision for each kind of rule, all with the same probability; and the cross-fitted log loss of each probability tried.

    names: the classifiers, in the order of the columns of `cases.evidence.members`, [] without any. Probabilities are
    fitted to all labels, rules to the images whose mask is known. Without mask models every rule is a gate fitted to the labels.
    """
    weights = _weights(cases, settings) if names else np.array(list(masks.weights.values()))
    cases = reweighted(cases, weights, settings.classifier_average)
    group = probability.groups(cases)
    model, prob, losses = probability.fit(cases, group, settings, classifiers=bool(names))
    seen = cases.with_prob(prob)
    has_masks = bool(masks.weights)
    masked, masked_group = seen.with_masks(), group[seen.has_mask]
    decisions = {}
    for kind in kinds:
        rule = _fitted_rule(kind, masked, settings) if has_masks else Gate.fit_to_labels(seen)
        level = rule.thresholds(masked.evidence)
        cascaded = settings.cascade and has_masks and bool(names)
        decisions[kind] = Decision(
            classifiers=dict(zip(names, map(float, weights), strict=True)) if names else {},
            classifier_average=settings.classifier_average,
            masks=masks,
            probability=model,
            calibrator=_calibrator(cases, model),
            rule=rule,
            floor=cascade.fit_floor(masked, level, masked_group, settings.cascade_cost) if cascaded else 0.0,
            post_processing=post_processing_of(settings),
        )
    return decisions, losses


def _fitted_rule(kind: str, cases: Cases, settings: EnsembleSettings) -> Any:
    """The rule fitted to the cases, or the triplet given in the settings."""
    fixed = settings.triplet
    if kind == "triplet" and fixed is not None:
        return Triplet.of_probabilities(fixed.top, fixed.area, fixed.bottom, settings.reference_pixels)
    return RULES[kind].fit(cases, settings.reference_pixels)


def apply(decision: Decision, cases: Cases) -> tuple[Ints, Floats]:
    """Levels (N,) and probabilities (N,) of images as one batch; as in prediction, a skipped image has the classifiers'."""
    decision, evidence = as_batch(decision, cases)
    ruled_out = evidence.raw < decision.lower_bound()
    return decision.thresholds(evidence), np.where(
        ruled_out, decision.calibrator(evidence.raw), evidence.prob
    )


def skipped(decision: Decision, cases: Cases) -> Bools:
    """Which images (N,) of a batch the mask models need not see."""
    decision, evidence = as_batch(decision, cases)
    return evidence.raw < decision.lower_bound()


def as_batch(decision: Decision, cases: Cases) -> tuple[Decision, Evidence]:
    """The decision for exactly this batch, and the evidence as it sees it."""
    evidence = decision.seen(
        reweighted(cases, decision.probability_weights, decision.classifier_average).evidence
    )
    return decision.for_batch(evidence), evidence


def groups(cases: Cases, settings: EnsembleSettings) -> Ints:
    """Groups (N,) for nesting: as `probability.groups`, but a fold's own level is learned on images of that same fold, so
    `centred` needs some of each fold on both sides."""
    return patient_groups(cases.patient) if settings.average == "centred" else probability.groups(cases)


def nested(
    cases: Cases, names: list[str], kinds: list[str], fitted_on: FittedOn, settings: EnsembleSettings
) -> Nested:
    """Predictions of decisions that were fitted without an image's group; in the order of the images."""
    group = groups(cases, settings)
    parts, order = [], []
    for g in np.unique(group):
        masks, shown = fitted_on(group != g)
        decisions, _ = fit(shown.take(group != g), names, kinds, masks, settings)
        parts.append(_predicted(decisions, shown.take(group == g)))
        order.append(np.flatnonzero(group == g))
    back = np.argsort(np.concatenate(order))
    return Nested(
        cases=concatenate([part.cases for part in parts]).take(back),
        levels={kind: np.concatenate([part.levels[kind] for part in parts])[back] for kind in kinds},
        skipped={kind: np.concatenate([part.skipped[kind] for part in parts])[back] for kind in kinds},
        **{
            name: np.concatenate([getattr(part, name) for part in parts])[back]
            for name in ("raw", "calibrated", "prob")
        },
    )


def post_processing_of(settings: EnsembleSettings) -> PostProcessing:
    """The post-processing that the settings ask for."""
    return PostProcessing(
        min_component=settings.min_component,
        fill_holes=settings.fill_holes,
        dilate=settings.dilate,
        reference=settings.reference_pixels,
    )


def _predicted(decisions: dict[str, Decision], cases: Cases) -> Nested:
    """Predictions of decisions for images as one batch; probabilities are the same in all decisions."""
    some = next(iter(decisions.values()))
    evidence = as_batch(some, cases)[1]
    return Nested(
        cases=cases,
        levels={kind: apply(decision, cases)[0] for kind, decision in decisions.items()},
        skipped={kind: skipped(decision, cases) for kind, decision in decisions.items()},
        raw=evidence.raw,
        calibrated=some.calibrator(evidence.raw),
        prob=evidence.prob,
    )


def _weights(cases: Cases, settings: EnsembleSettings) -> Floats:
    count = cases.evidence.members.shape[1]
    if settings.weights == "equal":
        return np.full(count, 1 / count)
    return learn_weights(cases.evidence.members, cases.label, settings.shrinkage, settings.classifier_average)


def _calibrator(
    cases: Cases, model: probability.Calibrated | probability.Stacked
) -> calibration.Sigmoid | calibration.Steps:
    """Calibrator of the raw probability alone: the probability's own, or Platt's where the probability is stacked."""
    if isinstance(model, probability.Calibrated):
        return model.calibrator
    return calibration.fit("platt", cases.evidence.raw, cases.label)
