"""Points of the calibration figure."""

from __future__ import annotations

import numpy as np
import pytest

from ensemble.evaluation import figures


def test_a_bin_of_a_few_images_has_no_point() -> None:
    """Two bins: 20 images of which 5 are positive, and 4 positive ones, whose share of 1 would prove nothing."""
    label = np.array([True] * 5 + [False] * 15 + [True] * 4)
    prob = np.array([0.2] * 20 + [0.8] * 4)
    axes = figures.reliability(label, {"classifier": prob}, 2).axes[0]
    points = axes.collections[-1].get_offsets()
    assert np.asarray(points) == pytest.approx(np.array([[0.2, 0.25]]))


def test_the_interval_of_a_bin_is_not_empty_at_the_ends() -> None:
    """A standard error would be 0 there."""
    low, high = figures.rate_interval(1.0, 10)
    assert 0.5 < low < 0.8
    assert high == 1
