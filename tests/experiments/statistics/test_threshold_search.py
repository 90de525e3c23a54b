"""Searches on histograms against brute force on pixels."""

from __future__ import annotations

import numpy as np
import pytest

from ensemble.evidence.evidence import UNIT
from ensemble.evidence.histograms import above, histogram, resized
from ensemble.metrics import kaggle_dice
from experiments.statistics import search_surface, threshold_search

SIDE = 12


@pytest.fixture
def drawn():
    """30 maps uint8 and truths bool of 12 × 12 pixels, some empty."""
    random = np.random.default_rng(5)
    maps = random.integers(0, 256, (30, SIDE, SIDE)).astype(np.uint8)
    maps[:5] = np.minimum(maps[:5], 20)
    truths = random.random((30, SIDE, SIDE)) < 0.3
    truths[::3] = False
    return maps, truths


def tables(maps, truths):
    total = np.stack([above(histogram(m)) for m in maps])
    hit = np.stack([above(histogram(m, t)) for m, t in zip(maps, truths, strict=True)])
    return total, hit


def units(maps, truths) -> np.ndarray:
    """Dice of submitting at each level 0 … 256, from masks, in whole units."""
    return np.array(
        [
            [round(kaggle_dice(m.astype(int) >= t, y) * UNIT) for t in range(257)]
            for m, y in zip(maps, truths, strict=True)
        ]
    )


def test_histograms_count_pixels(drawn) -> None:
    maps, truths = drawn
    total, hit = tables(maps, truths)
    for i, t in ((0, 0), (3, 10), (7, 128), (20, 255), (29, 256)):
        assert total[i, t] == (maps[i].astype(int) >= t).sum()
        assert hit[i, t] == ((maps[i].astype(int) >= t) & truths[i]).sum()


def test_histogram_of_a_huge_image_is_exact() -> None:
    level = np.zeros((4097, 4097), np.uint8)  # more pixels than float32 can count
    assert histogram(level)[0] == 4097**2


def test_triplets_equal_brute_force_to_the_last_bit(drawn) -> None:
    maps, truths = drawn
    total = tables(maps, truths)[0]
    whole = units(maps, truths)
    areas = np.array([1, 5, 40, 90])
    surface = threshold_search.triplet_surface(total[:, :256], areas, whole[:, :256] - whole[:, 256:])
    for t1, a, t2 in ((1, 0, 1), (50, 1, 20), (128, 2, 128), (200, 3, 3), (255, 0, 60), (100, 2, 99)):
        submit = (maps.astype(int) >= t1).sum(axis=(1, 2)) >= areas[a]
        brute = np.where(submit, whole[:, t2], whole[:, 256]).sum()
        assert whole[:, 256].sum() + surface[t1, a, t2] == brute


def test_gates_and_pairs_equal_brute_force(drawn) -> None:
    maps, truths = drawn
    total = tables(maps, truths)[0]
    whole = units(maps, truths)
    gain = whole[:, :256] - whole[:, 256:]
    prob = np.random.default_rng(1).random(30)
    cuts, areas, tops = threshold_search.quantile_cuts(prob, 8), np.array([1, 20, 60]), np.array([30, 150])
    gate = threshold_search.gate_surface(prob, cuts, gain)
    both = threshold_search.two_key_surface(prob, cuts, total[:, tops], areas, gain)
    either = threshold_search.either_key_surface(prob, cuts, total[:, tops], areas, gain)
    for c in range(len(cuts)):
        passes = prob >= cuts[c]
        assert gate[c, 77] == gain[passes, 77].sum()
        for t in range(2):
            for a in range(3):
                large = total[:, tops[t]] >= areas[a]
                assert both[c, t, a, 40] == gain[passes & large, 40].sum()
                assert either[c, t, a, 40] == gain[passes | large, 40].sum()


def test_cuts_lie_between_values_and_let_all_pass_first() -> None:
    cuts = threshold_search.quantile_cuts(np.array([0.2, 0.4, 0.4, 0.8]), 10)
    assert cuts.tolist() == pytest.approx([0.0, 0.3, 0.6])
    assert threshold_search.quantile_cuts(np.array([0.5, 0.5]), 4).tolist() == [0.0]


def test_smoothed_surface_beats_spike() -> None:
    surface = np.full(40, 0.5)
    surface[5] = 0.9  # luck
    surface[20:31] = 0.8  # a smoothed surface
    assert search_surface.choose(surface, (4,)) == (25,)


def test_middle_of_equals_and_forbidden_settings() -> None:
    surface = np.ones((9, 9))
    assert search_surface.choose(surface, (1, 1)) == (4, 4)
    lower = np.tril(np.ones((9, 9), bool))
    i, j = search_surface.choose(surface, (1, 1), lower)
    assert j <= i
    surface[~lower] = 5.0  # would win if it counted
    assert search_surface.choose(surface, (1, 1), lower) == (i, j)


def test_edges_are_no_disadvantage() -> None:
    assert search_surface.choose(np.array([1.0, 0.9, 0.5, 0.1, 0.0]), (1,)) == (0,)


def test_maps_keep_their_values_at_their_own_size() -> None:
    level = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert resized(level, (8, 8)) is level
    large = resized(level, (16, 24))
    assert large.shape == (16, 24)
    assert large.dtype == np.uint8


@pytest.mark.parametrize("shape", [(5, 16), (9, 7), (1, 1), (16, 8)])
@pytest.mark.parametrize("filled", [0.0, 0.02, 1.0])
def test_histogram_equals_plain_counting(shape, filled) -> None:
    random = np.random.default_rng(3)
    level = (random.integers(1, 256, shape) * (random.random(shape) < filled)).astype(np.uint8)
    inside = random.random(shape) < filled
    for image, mask in ((level, inside), (level.T, inside.T)):  # the second is not contiguous
        assert np.array_equal(histogram(image), np.bincount(image.ravel(), minlength=256))
        assert np.array_equal(histogram(image, mask), np.bincount(image[mask], minlength=256))
