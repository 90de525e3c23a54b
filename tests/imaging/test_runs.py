"""Runs against drawn masks: what is counted on codes is what is counted on pixels."""

from __future__ import annotations

import numpy as np
import pytest

from imaging import rle, runs

SHAPE = (3, 4)


def test_a_union_counts_shared_pixels_once() -> None:
    codes = ["0 2", "1 2", "-1", "11 1"]
    found = runs.union(map(runs.parse, codes))
    assert found.tolist() == [[0, 3], [11, 12]]
    assert (runs.write(found), runs.area(found)) == ("0 3 8 1", 4)
    assert runs.write(runs.union([])) == "-1"
    assert runs.parse("-1").shape == (0, 2)


@pytest.mark.parametrize("seed", range(20))
def test_random_masks(seed: int) -> None:
    random = np.random.default_rng(seed)
    a, b = random.random((2, *SHAPE)) < random.random()
    one, two = (runs.parse(rle.encode(mask), a.size) for mask in (a, b))
    assert runs.write(one) == rle.encode(a)
    assert runs.write(runs.union([one, two])) == rle.encode(a | b)
    assert (runs.area(one), runs.overlap(one, two)) == (a.sum(), (a & b).sum())


def test_runs_outside_of_the_image() -> None:
    with pytest.raises(rle.RleError, match="past the image's 12 pixels"):
        runs.parse("10 3", 12)
    with pytest.raises(rle.RleError, match="is not a whole number"):
        runs.parse("1 x")
