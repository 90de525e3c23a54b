from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.data.dataset import Images
from imaging.data.sampler import EpochSampler, counts, draw
from imaging.prepared import Prepared
from imaging.settings import SamplingSettings

LABELS = np.array([1, 0, 0, 0, np.nan, 0, 0, 0, 0, 1, 0, 0], float)
BALANCED = SamplingSettings(scheme="balanced")


def count(order):
    return (LABELS[order] == 1).sum(), (LABELS[order] == 0).sum()


@pytest.mark.parametrize(
    ("settings", "positives", "negatives"),
    [
        (SamplingSettings(scheme="natural"), 2, 9),
        (SamplingSettings(scheme="positives"), 2, 0),
        (SamplingSettings(scheme="balanced", positive_share=0.5), 2, 2),
        (SamplingSettings(scheme="balanced", positive_share=0.4), 2, 3),
        (
            SamplingSettings(scheme="balanced", positive_share=0.8),
            2,
            0,
        ),  # half a negative, rounded to the even 0
        (SamplingSettings(scheme="balanced", positive_share=0.05), 2, 9),  # 38 wanted, 9 there
        (SamplingSettings(scheme="bounded", difference=3), 2, 5),
        (SamplingSettings(scheme="bounded"), 2, 9),
        (
            SamplingSettings(scheme="sliding", positive_share=0.8, last_share=0.4),
            2,
            0,
        ),  # the first of its epochs
    ],
)
def test_numbers(settings, positives, negatives):
    order = draw(LABELS, settings, 0, 0)
    assert count(order) == (positives, negatives)
    assert len(set(order.tolist())) == len(order)
    assert 4 not in order  # unlabelled


@pytest.mark.parametrize(
    ("positives", "negatives", "first", "last", "expected"),
    [
        # 400 / .8 = 500 images; shares .8, .6, .4
        (400, 1600, 0.8, 0.4, [(400, 100), (300, 200), (200, 300)]),
        (400, 1600, 0.2, 0.6, [(133, 534), (267, 400), (400, 267)]),
        # 200 / .6 = 333 images, or the negatives would not reach for .4
        (1600, 200, 0.8, 0.4, [(266, 67), (200, 133), (133, 200)]),
    ],
)
def test_a_share_slides_over_epochs_of_one_length(positives, negatives, first, last, expected):
    settings = SamplingSettings(scheme="sliding", positive_share=first, last_share=last)
    assert [counts(positives, negatives, settings, epoch, 3) for epoch in range(3)] == expected


@given(
    st.integers(1, 300), st.integers(1, 300), st.floats(0.05, 0.95), st.floats(0.05, 0.95), st.integers(1, 9)
)
def test_sliding_epochs_keep_their_length(positives, negatives, first, last, epochs):
    settings = SamplingSettings(scheme="sliding", positive_share=first, last_share=last)
    shown = [counts(positives, negatives, settings, epoch, epochs) for epoch in range(epochs)]
    assert len({sum(pair) for pair in shown}) == 1
    assert all(0 <= p <= positives and 0 <= n <= negatives for p, n in shown)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"scheme": "sliding"}, "last_share None with scheme 'sliding'"),
        ({"scheme": "balanced", "last_share": 0.4}, "last_share 0.4 with scheme 'balanced'"),
        ({"scheme": "natural", "difference": 5}, "difference 5 has no effect"),
    ],
)
def test_contradictions_are_errors(values, said):
    with pytest.raises(ValueError, match=said):
        SamplingSettings(**values)


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_an_epoch_is_a_function_of_seed_and_number(seed, epoch):
    np.testing.assert_array_equal(draw(LABELS, BALANCED, seed, epoch), draw(LABELS, BALANCED, seed, epoch))


def test_negatives_are_drawn_afresh_until_all_were_seen():
    seen = [
        frozenset(i for i in draw(LABELS, BALANCED, 0, epoch).tolist() if LABELS[i] == 0)
        for epoch in range(40)
    ]
    assert len(set(seen)) > 10
    assert frozenset.union(*seen) == {1, 2, 3, 5, 6, 7, 8, 10, 11}


def test_the_order_is_mixed():
    first = [LABELS[draw(LABELS, BALANCED, 0, epoch)[0]] for epoch in range(60)]
    assert 10 < sum(first) < 50


@pytest.mark.parametrize("scheme", ["balanced", "positives"])
def test_no_positives(scheme):
    with pytest.raises(ValueError, match=f"{scheme}.*needs positive images, but none of these 3 is"):
        draw([0, 0, 0], SamplingSettings(scheme=scheme), 0, 0)


def test_sampler_sets_the_epoch_of_its_data_too(prepared_once):
    images = Images(Prepared(prepared_once), range(13))
    sampler = EpochSampler(images, BALANCED, seed=9)
    assert len(sampler) == 12
    orders = []
    for epoch in (0, 1, 0):
        sampler.set_epoch(epoch)
        assert int(images._epoch) == epoch
        orders.append(list(sampler))
    assert orders[0] == orders[2] != orders[1]
    assert orders[0] == draw(images.labels, BALANCED, 9, 0).tolist()
