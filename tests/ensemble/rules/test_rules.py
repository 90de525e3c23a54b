"""What holds for every rule, and what each is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble.evidence.evidence import Evidence
from ensemble.evidence.histograms import NOTHING, above, histogram
from ensemble.rules import RULES
from ensemble.rules.base import compared, one_image
from ensemble.rules.expected_value import ExpectedValue, worth_it
from ensemble.rules.gate import Gate, Quota
from ensemble.rules.triplet import GatedTriplet, Triplet
from ensemble.rules.unanimity import Unanimity

KINDS = list(RULES)
PIXELS = 24 * 24


@pytest.fixture(scope="module")
def fitted(module_cases):
    """Every rule, fitted once."""
    return {kind: rule.fit(module_cases, PIXELS) for kind, rule in RULES.items()}


@pytest.fixture(scope="module")
def module_cases(random_cases):
    return random_cases(images=80, seed=2)


@pytest.mark.parametrize("kind", KINDS)
def test_fitted_twice_is_the_same(kind, fitted, module_cases) -> None:
    again = RULES[kind].fit(module_cases, PIXELS)
    assert again.model_dump_json() == fitted[kind].model_dump_json()


@pytest.mark.parametrize("kind", KINDS)
def test_answers_do_not_depend_on_the_images_order(kind, fitted, module_cases) -> None:
    order = np.random.default_rng(0).permutation(len(module_cases))
    level = fitted[kind].thresholds(module_cases.evidence)
    assert np.array_equal(fitted[kind].thresholds(module_cases.evidence.take(order)), level[order])
    if kind not in ("expected_value", "expected_value_per_image"):  # a regression adds floats up
        assert RULES[kind].fit(module_cases.take(order), PIXELS) == fitted[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_beats_empty_masks_where_it_was_fitted(kind, fitted, module_cases) -> None:
    assert module_cases.score(fitted[kind].thresholds(module_cases.evidence)) > np.mean(~module_cases.label)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30)
@given(prob=st.floats(0, 1), seed=st.integers(0, 999))
def test_apply_is_the_threshold_and_nothing_passes_below_the_bound(kind, fitted, prob, seed) -> None:
    rule = fitted[kind]
    random = np.random.default_rng(seed)
    level = np.clip(random.normal(random.integers(0, 256), 60, (24, 24)), 0, 255).astype(np.uint8)
    mask = rule.apply(prob, level)
    cut = int(rule.thresholds(one_image(prob, level))[0])
    assert mask.dtype == bool
    assert np.array_equal(mask, level.astype(int) >= cut)
    if prob < rule.least_prob():
        assert not mask.any()
    said = rule.reason(one_image(prob, level))
    assert any(f"{prob:.{digits}f}" in said for digits in range(2, 7)) or kind in ("triplet",)
    needed = rule.needed(one_image(prob, level))
    if (
        needed is not None and (level.astype(int) >= 252).any()
    ):  # 252: the highest level that a rule may cut at
        assert (prob >= needed) == (cut < NOTHING)


def test_gate_by_hand() -> None:
    level = np.array([[10, 100, 200]], np.uint8)
    gate = Gate(cut=0.6, level=100)
    assert gate.apply(0.6, level).tolist() == [[False, True, True]]
    assert not gate.apply(0.59, level).any()
    assert gate.reason(one_image(0.71, level)) == "0.71, needed 0.60"


@pytest.mark.parametrize(
    ("found", "needed", "words"),
    [
        (0.71, 0.6, "0.71, needed 0.60"),
        (0.4355, 0.4391, "0.435, needed 0.439"),
        (0.43551, 0.43552, "0.43551, needed 0.43552"),
        (0.6, 0.6, "0.60, needed 0.60"),
    ],
)
def test_two_numbers_that_differ_are_told_apart(found: float, needed: float, words: str) -> None:
    assert compared(found, needed) == words


def test_triplet_by_hand_and_at_another_resolution() -> None:
    rule = Triplet(top=200, area=8, bottom=100, reference=64)
    level = np.zeros((8, 8), np.uint8)
    level[:2, :4] = 200
    level[4, :4] = 100
    assert rule.apply(0.0, level).sum() == 12
    level[0, 0] = 199
    assert not rule.apply(1.0, level).any()
    assert rule.reason(one_image(1.0, level)) == "7 pixels reach 0.99978, needed 8"
    large = np.kron(level, np.ones((2, 2), np.uint8))  # 28 of 256 pixels are 7 of 64
    assert not rule.apply(1.0, large).any()
    large[0, 0:2] = 200
    large[1, 0:2] = 200
    assert rule.apply(1.0, large).sum() == 48


def test_bottom_is_not_above_top() -> None:
    with pytest.raises(ValueError, match="bottom 101 must not be above top 100"):
        Triplet(top=100, area=1, bottom=101, reference=64)


def test_gated_triplet_needs_both() -> None:
    rule = GatedTriplet(top=200, area=1, bottom=100, reference=4, cut=0.5)
    sure, weak = np.full((2, 2), 200, np.uint8), np.full((2, 2), 199, np.uint8)
    assert [rule.apply(p, m).any() for p, m in ((0.5, sure), (0.4, sure), (0.5, weak))] == [
        True,
        False,
        False,
    ]


def test_quota_takes_its_share_of_the_batch() -> None:
    quota = Quota(cut=0.9, level=1, share=0.25)
    prob = np.array([0.1, 0.5, 0.3, 0.2, 0.4, 0.6, 0.15, 0.05])
    evidence = evidence_of(prob)
    assert (quota.thresholds(evidence) < NOTHING).sum() == 0
    passed = quota.for_batch(evidence).thresholds(evidence) < NOTHING
    assert prob[passed].tolist() == [0.5, 0.6]


def test_unanimity_of_classifiers_or_a_large_mask() -> None:
    rule = Unanimity(cut=0.7, top=200, area=3, bottom=100, reference=4)
    level = np.full((2, 2), 150, np.uint8)
    for members, expected in (((0.7, 0.9), True), ((0.69, 0.99), False)):
        evidence = one_image(0.8, level, 0.8, members)
        assert (rule.thresholds(evidence)[0] == 100) == expected
    level[0] = 255
    level[1, 0] = 255
    assert rule.thresholds(one_image(0.1, level, 0.1, (0.1, 0.1)))[0] == 100


def test_expected_value_is_the_inequality(fitted, module_cases) -> None:
    rule, evidence = fitted["expected_value"], module_cases.evidence
    assert isinstance(rule, ExpectedValue)
    dice = rule.expected_dice(evidence)
    assert np.all((dice > 0) & (dice < 1))
    some = evidence.above[:, rule.level] > 0
    assert np.array_equal(
        rule.thresholds(evidence) < NOTHING, some & (evidence.prob * dice > (1 - evidence.prob))
    )
    assert worth_it(np.array([0.61, 0.60]), np.array([0.65, 0.65])).tolist() == [
        True,
        False,
    ]  # 1/1.65 = 0.606


def evidence_of(prob: np.ndarray) -> Evidence:
    """Images whose maps are 255 everywhere."""
    total = np.stack([above(histogram(np.full((4, 4), 255, np.uint8)))] * len(prob))
    return Evidence(prob=prob, raw=prob, members=prob[:, None], above=total, agreement=np.ones(len(prob)))
