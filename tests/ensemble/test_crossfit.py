"""Nested means nested: what is said of an image does not depend on its own truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ensemble import crossfit
from ensemble.cases import concatenate
from ensemble.committee import MaskCommittee
from ensemble.histograms import NOTHING
from ensemble.rules import RULES
from experiments.decision_settings import EnsembleSettings

MASKS = MaskCommittee(weights={"u": 1.0})
KINDS = list(RULES)


@pytest.mark.parametrize("folds", [4, 1])  # 1: too few for nesting, whole patients are dealt to five groups
def test_nested_answers_look_away(random_cases, folds) -> None:
    cases = random_cases(images=80, seed=8)
    cases = replace(cases, fold=cases.fold % folds)
    settings = EnsembleSettings()
    group = crossfit.probability.groups(cases)
    inside = group == 1
    hit = cases.hit.copy()
    hit[inside] = np.where(
        hit[inside, :1] > 0, 0, cases.evidence.above[inside] // 2
    )  # every answer turned round
    turned = replace(cases, hit=hit)
    before, prob = crossfit.nested(cases, ["a", "b"], KINDS, MASKS, settings)
    after, other = crossfit.nested(turned, ["a", "b"], KINDS, MASKS, settings)
    assert np.array_equal(prob[inside], other[inside])
    assert not np.array_equal(prob[~inside], other[~inside])
    for kind in KINDS:
        assert np.array_equal(before[kind][inside], after[kind][inside]), kind


def test_only_the_quota_looks_at_its_batch(random_cases) -> None:
    cases = random_cases(images=80, seed=8)
    decisions, _ = crossfit.fit(cases, ["a", "b"], KINDS, MASKS, EnsembleSettings(cascade=False))
    some = np.flatnonzero(cases.evidence.raw > 0.5)
    for kind, decision in decisions.items():
        alone, together = (
            crossfit.apply(decision, cases.take(some))[0],
            crossfit.apply(decision, cases)[0][some],
        )
        assert np.array_equal(alone, together) == (kind != "quota"), kind


def test_an_empty_image_more_never_lowers_a_score(random_cases) -> None:
    """A true negative that gets no mask, whatever the rule."""
    cases = random_cases(images=60, seed=3)
    level = np.full(60, 100)
    level[~cases.label] = NOTHING
    empty = cases.take([int(np.flatnonzero(~cases.label)[0])])
    more = concatenate([cases, empty])
    assert more.score(np.append(level, NOTHING)) >= cases.score(level)


def test_floor_is_the_lowest_classifier_that_got_a_mask(random_cases) -> None:
    cases = random_cases(images=120, seed=5)
    on, _ = crossfit.fit(cases, ["a", "b"], ["expected_value", "triplet"], MASKS, EnsembleSettings())
    off, _ = crossfit.fit(cases, ["a", "b"], ["expected_value"], MASKS, EnsembleSettings(cascade=False))
    assert (
        on["expected_value"].floor
        in crossfit.reweighted(cases, on["expected_value"].classifier_weights).evidence.raw
    )
    assert on["triplet"].floor == 0.0  # the published rule has no classifier
    assert off["expected_value"].floor == 0.0
