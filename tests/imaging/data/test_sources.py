"""Weights of several sources in sampling, and batches of one source."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.data.dataset import Sources
from imaging.data.sampler import by_source, draw
from imaging.settings import SamplingSettings

LABELS = np.array([1, 0] * 10 + [1, 0, 0, 0] * 5, float)
NAMES = np.array(["a"] * 20 + ["b"] * 20, object)
"""Source a: 10 positives and 10 negatives; b: 5 and 15."""


def drawn(weights: dict[str, float], epoch: int = 0, **settings) -> list[int]:
    sampling = SamplingSettings(**{"scheme": "natural", **settings})
    return draw(LABELS, sampling, 3, epoch, sources=Sources(NAMES, weights)).tolist()


def test_a_weight_is_the_share_of_each_class_that_an_epoch_draws():
    chosen = np.array(drawn({"a": 1, "b": 0.2}))
    assert sorted(chosen[chosen < 20]) == list(range(20))
    assert LABELS[chosen[chosen >= 20]].tolist().count(1) == 1
    assert LABELS[chosen[chosen >= 20]].tolist().count(0) == 3


@pytest.mark.parametrize("weights", [{"a": 1, "b": 0.2}, {"a": 50, "b": 10}, {"a": 0.05, "b": 0.01}])
def test_weights_are_relative_to_the_largest(weights):
    assert drawn(weights, 3) == drawn({"a": 1, "b": 0.2}, 3)


def test_weights_of_zero_alone_are_an_error():
    with pytest.raises(ValueError, match="weights of all sources are 0"):
        drawn({"a": 0, "b": 0})


def test_what_a_weight_leaves_out_is_drawn_afresh():
    seen = {place for epoch in range(40) for place in drawn({"a": 1, "b": 0.2}, epoch)}
    assert seen == set(range(40))


def test_sources_of_weight_1_are_sampled_as_one_source_is():
    for scheme in ("natural", "balanced"):
        alone = draw(LABELS, SamplingSettings(scheme=scheme), 3, 1).tolist()
        assert drawn({"a": 1, "b": 1}, 1, scheme=scheme) == alone


def test_the_settings_weights_of_a_phase_come_before_the_sources_own():
    assert all(place < 20 for place in drawn({"a": 1, "b": 1}, sources={"b": 0}))


def test_a_balanced_epoch_balances_what_the_weights_leave():
    chosen = drawn({"a": 1, "b": 0.2}, scheme="balanced", positive_share=0.5)
    assert LABELS[chosen].sum() == 11
    assert len(chosen) == 22


def test_an_unknown_source_is_named():
    with pytest.raises(ValueError, match=r"no source c; data.sources has a, b"):
        drawn({"a": 1, "b": 1}, sources={"c": 1})


def test_batches_are_of_one_source_until_what_is_left_of_each():
    order = np.random.default_rng(0).permutation(40)
    found = by_source(order, NAMES[order], 8, np.random.default_rng(1))
    assert sorted(found) == list(range(40))
    sources = [set(NAMES[found[start : start + 8]]) for start in range(0, 32, 8)]
    assert all(len(names) == 1 for names in sources)
    assert {next(iter(names)) for names in sources} == {"a", "b"}


def test_weights_without_several_sources_are_an_error():
    with pytest.raises(ValueError, match=r"no effect without data\.sources"):
        draw(LABELS, SamplingSettings(sources={"a": 1}), 3, 0)
