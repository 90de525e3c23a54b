"""Tables of counts: what is read of them without making larger tables."""

from __future__ import annotations

import numpy as np
import pytest

from ensemble.evidence.evidence import Cases, Evidence, concatenate
from ensemble.evidence.histograms import LEVELS, NOTHING, above


def cases(count: int, kind: type = np.int32) -> Cases:
    """Images of 100 pixels, every third with a lesion, of which the map sees a part."""
    rng = np.random.default_rng(0)
    outside, inside = rng.integers(0, 2, (2, count, NOTHING))
    inside[np.arange(count) % 3 > 0] = 0
    inside[:, 0] += 3 * inside.any(axis=1)
    outside[:, 0] += 1000 - outside.sum(axis=1) - inside.sum(axis=1)
    hit = np.array([above(row) for row in inside], kind)
    total = np.array([above(row) for row in outside + inside], kind)
    prob = rng.random(count)
    evidence = Evidence(prob, prob, prob[:, None], total, np.ones(count))
    return Cases(evidence, hit, np.zeros(count, np.int64), np.arange(count), np.arange(count))


@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_dice_at_a_level_is_that_of_the_table(kind: type) -> None:
    some = cases(60, kind)
    level = np.random.default_rng(1).integers(0, LEVELS, 60)
    np.testing.assert_array_equal(some.dice_at(level), some.dice[np.arange(60), level])
    empty = some.dice_at(np.full(60, NOTHING))
    np.testing.assert_array_equal(empty, np.where(some.label, 0.0, 1.0))


def test_areas_at_another_size_do_not_overflow() -> None:
    some = cases(3).evidence
    np.testing.assert_array_equal(some.area(0, 12_000**2), [12_000**2] * 3)


@pytest.mark.parametrize("count", [1, 1024, 1025, 2500])
def test_blocks_give_what_the_whole_gives(count: int) -> None:
    evidence, asked = cases(count).evidence, []

    def function(some: Evidence) -> np.ndarray:
        asked.append(len(some))
        return some.prob * some.above[:, 5]

    np.testing.assert_array_equal(evidence.by_blocks(function), evidence.prob * evidence.above[:, 5])
    assert max(asked) <= 1024


def test_a_positive_whose_mask_is_not_known_is_positive_and_has_no_dice() -> None:
    some = cases(12)
    unmasked = np.arange(12) == 1  # a negative by its pixels, which mean nothing
    mixed = Cases(some.evidence, some.hit, some.fold, some.patient, some.image_id, unmasked)
    np.testing.assert_array_equal(mixed.label, some.label | unmasked)
    assert mixed.has_mask.sum() == 11
    known = mixed.with_masks()
    assert known.unmasked is None
    assert known.image_id.tolist() == [0, *range(2, 12)]
    again = concatenate([mixed.take(slice(0, 6)), some.take(slice(6, 12))])
    np.testing.assert_array_equal(again.unmasked, unmasked)
    assert some.with_masks() is some
