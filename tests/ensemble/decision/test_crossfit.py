"""Nested means nested: what is said of an image does not depend on its own truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ensemble.decision import cascade, crossfit, mask_weights
from ensemble.evidence.evidence import Cases, Evidence, concatenate
from ensemble.evidence.histograms import NOTHING
from ensemble.evidence.mask_average import MaskEnsemble
from ensemble.evidence.predictions import MaskMaps, Predictions
from ensemble.rules import RULES
from experiments.settings.decision import EnsembleSettings
from experiments.statistics.threshold_search import UNIT

MASKS = MaskEnsemble(weights={"u": 1.0})
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
    before = crossfit.nested(cases, ["a", "b"], KINDS, lambda _: (MASKS, cases), settings)
    after = crossfit.nested(turned, ["a", "b"], KINDS, lambda _: (MASKS, turned), settings)
    for name in ("raw", "calibrated", "prob"):  # raw: by the weights of the classifiers
        was, became = getattr(before, name), getattr(after, name)
        assert np.array_equal(was[inside], became[inside]), name
        assert not np.array_equal(was[~inside], became[~inside]), name
    for kind in KINDS:
        assert np.array_equal(before.levels[kind][inside], after.levels[kind][inside]), kind
        assert np.array_equal(before.skipped[kind][inside], after.skipped[kind][inside]), kind
    assert np.array_equal(before.cases.image_id, cases.image_id)


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


def test_floor_by_hand() -> None:
    """Five images of 4 pixels, all cut at 1; what masks earn over nothing: +1, -1, +0.5, no mask, +1."""
    above, hit = np.zeros((2, 5, 257), np.int64)
    above[:, 0], above[[0, 1, 2, 4], 1:201] = 4, 2
    hit[[0, 4], :201], hit[2, :201] = 2, 1
    hit[2, 0] = 2
    raw = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    evidence = Evidence(raw, raw, raw[:, None], above, np.ones(5))
    cases = Cases(evidence, hit, np.zeros(5, np.int64), np.arange(5), np.arange(5))
    level = np.array([1, 1, 1, NOTHING, 1])
    gain = cases.units[np.arange(5), level] - cases.units[:, NOTHING]
    assert cascade.floor_of(raw, gain, 0.0) == 0.1  # the first mask already earns
    assert cascade.floor_of(raw, gain, 0.19) == 0.1
    assert cascade.floor_of(raw, gain, 0.2) == 0.5  # 1 of 5 may be lost; the false alarm pays for the next
    assert (
        cascade.floor_of(raw, gain, 0.3) == 0.0
    )  # all masks together earn 1.5 of 5 images: no rule, no floor
    order = np.array([3, 1, 4, 0, 2])
    assert cascade.floor_of(raw[order], gain[order], 0.2) == 0.5


def test_the_cost_asked_for_is_the_cost_paid_on_new_images() -> None:
    """Fitted in sample the floor costs more than asked on new images; cross-fitted it does not, and still skips most of them."""
    random, asked = np.random.default_rng(0), 0.003
    raw, gain = _masks_and_gains(random, 500_000)
    order = np.argsort(raw)
    cost = np.append(0, np.cumsum(gain[order] / UNIT)) / len(raw)
    in_sample, cross_fitted, skipped = [], [], []
    for _ in range(60):
        some, earned = _masks_and_gains(random, 2400)
        floors = (
            cascade.floor_of(some, earned, asked),
            cascade.cross_fitted_floor(some, earned, np.arange(2400) % 5, asked),
        )
        places = np.searchsorted(raw[order], floors)
        in_sample.append(cost[places[0]])
        cross_fitted.append(cost[places[1]])
        skipped.append(places[1] / len(raw))
    assert np.mean(in_sample) > asked
    assert np.mean(cross_fitted) <= asked
    assert np.mean(skipped) > 0.6


def _masks_and_gains(random: np.random.Generator, images: int) -> tuple[np.ndarray, np.ndarray]:
    """Raw probabilities, and what each image's mask earns over leaving it empty, in whole units."""
    logit = random.normal(-2, 2.2, images)
    prob = 1 / (1 + np.exp(-logit))
    label = random.random(images) < prob
    masked = random.random(images) < np.where(label, 0.25 + 0.6 * prob, 0.02 + 0.25 * prob)
    gain = np.where(masked, np.where(label, random.beta(5, 2.5, images), -1.0), 0.0)
    return 1 / (1 + np.exp(-(logit + random.normal(0, 0.8, images)))), np.rint(gain * UNIT).astype(np.int64)


@pytest.mark.parametrize("kind", KINDS)
def test_every_rule_has_a_floor_that_costs_what_it_may(random_cases, kind) -> None:
    cases = random_cases(images=200, seed=5)
    above = cases.evidence.above.copy()
    above[(~cases.label) & (np.arange(200) % 6 > 0), 1:] = 0  # most maps of empty images show nothing
    cases = replace(cases, evidence=replace(cases.evidence, above=above))
    probe = EnsembleSettings(image_score="classifier", calibration="none")
    on, _ = crossfit.fit(cases, ["a", "b"], [kind], MASKS, probe.model_copy(update={"cascade_cost": 0.03}))
    off, _ = crossfit.fit(cases, ["a", "b"], [kind], MASKS, probe.model_copy(update={"cascade": False}))
    assert off[kind].floor == 0.0
    with_, without = (cases.score(crossfit.apply(d[kind], cases)[0]) for d in (on, off))
    if kind != "quota":  # its cut follows the batch
        assert with_ >= without - 0.03 - 1e-9
    assert on[kind].floor > 0
    assert crossfit.skipped(on[kind], cases).mean() >= max(0.1, crossfit.skipped(off[kind], cases).mean())
    nested = crossfit.nested(
        cases, ["a", "b"], [kind], lambda _: (MASKS, cases), probe.model_copy(update={"cascade_cost": 0.05})
    )
    assert nested.skipped[kind].mean() > 0.3
    assert np.all(nested.levels[kind][nested.skipped[kind]] == NOTHING)  # scored as it will be answered


def test_a_published_triplet_is_taken_as_it_is(random_cases) -> None:
    """Levels begin at sigmoid(0.07 (k - 80)): .7540 for 96, the nearest to .75 (95: .7408), and .3015 for 68 (67: .2870)."""
    settings = EnsembleSettings(triplet={"top": 0.75, "area": 1500, "bottom": 0.3})
    decisions, _ = crossfit.fit(
        random_cases(images=60, seed=3), ["a", "b"], ["triplet", "gate"], MASKS, settings
    )
    assert decisions["triplet"].rule.model_dump() == {
        "kind": "triplet", "top": 96, "area": 1500, "bottom": 68, "reference": 1024**2,
    }  # fmt: skip
    assert decisions["gate"].rule.kind == "gate"


def test_a_triplet_is_ordered() -> None:
    with pytest.raises(ValueError, match=r"bottom 0\.8 must not be above top 0\.7"):
        EnsembleSettings(triplet={"top": 0.7, "area": 0, "bottom": 0.8})


def test_published_blend_weights_need_no_map() -> None:
    settings = EnsembleSettings(mask_weights={"u": 0.4, "v": 0.6})
    maps = MaskMaps(pd.DataFrame({"image_id": ["i"], "fold": [0]}), None)
    found = Predictions({}, {"v": maps, "u": maps})
    assert not mask_weights.needs_maps(["u", "v"], settings)
    assert mask_weights.fit([], found, settings).weights == {"u": 0.4, "v": 0.6}
    with pytest.raises(ValueError, match="must add up to 1"):
        EnsembleSettings(mask_weights={"u": 0.4, "v": 0.5})
