"""The nested score against a rule tried by hand, and what it may not do."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.statistics.nested_score import TIE, graded, nested_score

EMPTY = np.array([1.0, 1.0, 0.0, 0.0] * 2)
GROUP = np.array([0] * 4 + [1] * 4)
CUTS = np.array([1, 2, 3])


def score(size: list[int], dice: list[float], **changes: object) -> float:
    return nested_score(
        np.array(size * 2)[:, None],
        CUTS,
        np.array(dice * 2)[:, None],
        EMPTY,
        GROUP,
        radius=(0, 0, 0),
        **changes,
    )


@pytest.mark.parametrize(
    ("size", "dice", "expected"),
    [
        # two empty images and two lesions a group; a cut of 2 (or 3) parts them, and the masks overlap by .6 and .8
        ([0, 1, 3, 3], [0, 0, 0.6, 0.8], (1 + 1 + 0.6 + 0.8) / 4),
        # the second empty image looks as the lesions do: submitting all three still wins
        ([0, 3, 3, 3], [0, 0, 0.6, 0.8], (1 + 0 + 0.6 + 0.8) / 4),
        # a mask that overlaps nothing is better left out, and no cut is above 3: the least that can be lost is tried
        ([0, 0, 3, 3], [0, 0, 0.0, 0.0], 0.5),
        # both empty images larger than the lesions: the best cut leaves all empty but the empty ones' images
        ([3, 3, 1, 1], [0, 0, 0.9, 0.9], (0.9 + 0.9) / 4),
    ],
)
def test_two_equal_groups_get_the_score_of_the_best_cut(
    size: list[int], dice: list[float], expected: float
) -> None:
    assert score(size, dice) == pytest.approx(expected)


def test_a_rule_is_not_learnt_from_the_patients_it_is_applied_to() -> None:
    # Lesions are large in one group and small in the other: each group's rule is the worst for the other one.
    size = np.array([1, 1, 3, 3, 3, 3, 1, 1])[:, None]
    dice = np.array([0, 0, 1, 1, 0, 0, 1, 1.0])[:, None]
    apart = nested_score(size, np.array([2, 3]), dice, EMPTY, GROUP, radius=(0, 0, 0))
    together = nested_score(size, np.array([2, 3]), dice, EMPTY, np.zeros(8, int), radius=(0, 0, 0))
    assert apart == pytest.approx((4 + 0) / 8)
    assert together == pytest.approx(0.5)


def test_it_searches_measure_cut_and_mask_together() -> None:
    random = np.random.default_rng(3)
    empty = (random.random(40) < 0.6).astype(float)
    size = random.integers(0, 5, (40, 3))
    dice = random.random((40, 4)) * (1 - empty)[:, None]
    group = np.arange(40) % 2
    total = 0.0
    for g in (0, 1):
        others, inside = group != g, group == g

        def value(rows: np.ndarray, t: int, cut: int, way: int) -> float:
            return float(np.where(size[rows, t] >= cut, dice[rows, way], empty[rows]).sum())

        settings = [(t, cut, way) for t in range(3) for cut in (1, 2, 3, 9) for way in range(4)]
        total += value(inside, *max(settings, key=lambda s: value(others, *s)))
    found = nested_score(size, np.array([1, 2, 3, 9]), dice, empty, group, radius=(0, 0, 0))
    assert found == pytest.approx(total / 40)


def test_a_setting_that_is_not_allowed_is_not_chosen() -> None:
    size, dice = np.array([[0], [9], [9], [9]]), np.array([[0, 0], [0, 0], [0.2, 0.9], [0.2, 0.9]])
    empty, group = np.array([1.0, 1, 0, 0]), np.array([0, 1, 0, 1])
    free = nested_score(size, np.array([1]), dice, empty, group, radius=(0, 0, 0))
    held = nested_score(
        size, np.array([1]), dice, empty, group, radius=(0, 0, 0), allowed=np.array([True, False])[None, None]
    )
    assert free == pytest.approx((1 + 0 + 0.9 + 0.9) / 4)
    assert held == pytest.approx((1 + 0 + 0.2 + 0.2) / 4)


def test_quality_parts_equals_and_nothing_else() -> None:
    assert graded(0.78, 0.4) > graded(0.78, 0.3)
    assert graded(0.7801, 0.0) >= graded(0.78, 1.0)
    assert graded(0.5, 1.0) == pytest.approx(0.5 + TIE)
