"""Pooled mask evidence against values by hand, and against the plain way on pixels."""

from __future__ import annotations

import numpy as np
import pytest

from ensemble.evidence.features import image_features
from ensemble.evidence.histograms import above, histogram
from ensemble.evidence.pooled import mask_evidence, pooled_evidence
from ensemble.evidence.probability import NEARLY_POOLED
from imaging.map_levels import LOGIT


def counts(levels: list[np.ndarray]) -> np.ndarray:
    return np.stack([above(histogram(one)) for one in levels])


def sparse(side: int, values: dict[int, int]) -> np.ndarray:
    """A map (side, side) with so many pixels of each level, by level, and 0 elsewhere."""
    level = np.zeros(side * side, np.uint8)
    place = 0
    for value, number in values.items():
        level[place : place + number] = value
        place += number
    return level.reshape(side, side)


@pytest.mark.parametrize(
    ("side", "values", "mean_logit"),
    [
        (100, {}, -5.565),  # ten pixels are pooled, all in the middle of level 0, half a step below -5.53
        (100, {255: 10}, 12.285),
        (100, {255: 10_000}, 12.285),
        (100, {255: 4, 80: 6}, (4 * 12.285 + 6 * 0.035) / 10),
        (100, {150: 3}, (3 * 4.935 - 7 * 5.565) / 10),
        (100, {200: 5, 100: 3, 90: 500}, (5 * 8.435 + 3 * 1.435 + 2 * 0.735) / 10),
        (20, {120: 1}, 2.835),  # .4 of a pixel: at least one is pooled
        (50, {120: 2}, 2.835),  # 2.5 pixels: two, the even neighbour
        (60, {120: 2}, (2 * 2.835 - 2 * 5.565) / 4),  # 3.6 pixels: four
    ],
)
def test_by_hand(side: int, values: dict[int, int], mean_logit: float) -> None:
    (found,) = pooled_evidence(counts([sparse(side, values)]))
    assert found == pytest.approx(1 / (1 + np.exp(-mean_logit)), abs=1e-12)


def random_maps() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [
        np.clip(random.normal(random.integers(-40, 240), 40, shape), 0, 255).astype(np.uint8)
        for shape in [(64, 48), (200, 120), (300, 300)] * 12
    ]


def test_as_the_mean_of_sorted_pixels() -> None:
    maps = random_maps()
    for one, found in zip(maps, pooled_evidence(counts(maps)), strict=True):
        highest = np.sort(one.ravel())[-max(1, round(0.001 * one.size)) :]
        assert found == pytest.approx(1 / (1 + np.exp(-LOGIT[highest].mean())), abs=1e-12)


def test_one_image_has_the_bits_that_it_has_among_many() -> None:
    table = counts(random_maps())
    together = pooled_evidence(table.astype(np.int32))
    alone = np.array([pooled_evidence(row[None])[0] for row in table])
    assert np.array_equal(together, alone)


def test_it_never_falls_when_a_pixel_rises() -> None:
    random = np.random.default_rng(1)
    level = random.integers(0, 255, (60, 60)).astype(np.uint8)
    higher = level.copy()
    for _ in range(20):
        higher[tuple(random.integers(0, 60, 2))] = 255
        before, after = pooled_evidence(counts([level, higher]))
        assert after >= before


def test_evidence_without_classifiers() -> None:
    table = counts(random_maps())
    made = mask_evidence(table, np.ones(len(table)))
    assert np.array_equal(made.raw, pooled_evidence(table))
    assert np.array_equal(made.members, made.raw[:, None])
    features = image_features(made)
    assert features["classifier"] == pytest.approx(
        np.log(made.raw / (1 - made.raw))
    )  # no probability is clipped


def test_the_stacked_features_are_not_the_same_thing_twice() -> None:
    """Maps of peaks and plateaus: the pool orders them otherwise than area, mass and inside do. The highest level is left out."""
    maps = [
        sparse(100, {255: 1}),
        sparse(100, {200: 10}),
        sparse(100, {150: 10, 100: 2000}),
        sparse(100, {240: 5, 90: 300}),
        sparse(100, {120: 4000}),
        sparse(100, {250: 3, 60: 100}),
    ]
    features = image_features(mask_evidence(counts(maps), np.ones(len(maps))))
    pool = features["classifier"]
    for name in set(features) - {"classifier", "agreement", NEARLY_POOLED}:
        assert np.argsort(features[name]).tolist() != np.argsort(pool).tolist(), name
        assert abs(np.corrcoef(features[name], pool)[0, 1]) < 0.95, name
