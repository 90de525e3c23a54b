"""Maps that a loss has driven to 0 and 1: the decision is made between a logit of 7 and one of 10."""

from __future__ import annotations

import numpy as np
import pytest

from ensemble.evidence.evidence import Cases, Evidence
from ensemble.evidence.histograms import NOTHING, above, histogram
from ensemble.rules import RULES
from ensemble.rules.gate import Gate
from imaging.map_levels import THRESHOLD, encode

SIDE = 24


def saturated(images: int, seed: int) -> Cases:
    """Every second image has a lesion, at a logit of 9 to 12; the others have a false one at 6.5 to 8.

    The classifier does not know which. Around each lesion lies a margin at a logit of 6.5, of four times its area.
    """
    random = np.random.default_rng(seed)
    label = np.arange(images) % 2 == 0
    totals, hits = np.zeros((2, images, NOTHING + 1), np.int64)
    for i in range(images):
        logit = np.full((SIDE, SIDE), -15.0)
        logit[4:20, 4:20] = 6.5
        core = (slice(8, 16), slice(8, 16))
        logit[core] = random.uniform(9, 12, (8, 8)) if label[i] else random.uniform(6.5, 8, (8, 8))
        truth = np.zeros((SIDE, SIDE), bool)
        truth[core] = label[i]
        level = encode((1 / (1 + np.exp(-logit))).astype(np.float32))
        totals[i], hits[i] = above(histogram(level)), above(histogram(level, truth))
    prob = np.full(images, 0.5)
    evidence = Evidence(prob=prob, raw=prob, members=prob[:, None], above=totals, agreement=np.ones(images))
    names = np.array([f"i{k:03d}" for k in range(images)], dtype=object)
    return Cases(evidence, hits, np.arange(images) % 4, np.arange(images), names)


@pytest.mark.parametrize("kind", ["triplet", "gated_triplet", "unanimity"])
def test_rules_on_the_map_tell_lesions_from_false_ones(kind: str) -> None:
    """In eight bits of probability all of it is 255: then no rule can earn more than empty masks do, .5."""
    fresh = saturated(40, seed=1)
    rule = RULES[kind].fit(saturated(40, seed=0), SIDE * SIDE)
    assert fresh.score(rule.thresholds(fresh.evidence)) > 0.95
    assert 0.998 < rule.probabilities()["bottom"] < 0.99999


def test_the_margin_is_cut_off() -> None:
    cases = saturated(40, seed=0)
    positive = cases.take(cases.label)
    gate = Gate.fit(positive, SIDE * SIDE)
    assert positive.score(gate.thresholds(positive.evidence)) > 0.95
    assert THRESHOLD[gate.level] > 0.998
