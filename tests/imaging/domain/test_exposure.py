"""What brightness, contrast and sharpness alone tell."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.domain import exposure


def test_features_by_hand() -> None:
    flat, edge = np.full((8, 8), 100, np.uint8), np.zeros((8, 8), np.uint8)
    edge[:, 4:] = 200
    found = exposure.features([flat, edge])
    assert found[0].tolist() == pytest.approx([100, 0, 0], abs=1e-4)
    assert found[1, :2].tolist() == pytest.approx([100, 100])
    assert found[1, 2] > 10
    assert exposure.features([]).shape == (0, 3)


def test_a_large_image_is_reduced_first() -> None:
    """A checkerboard of single pixels is grey at half the side: no contrast is left."""
    board = (np.indices((512, 512)).sum(axis=0) % 2 * 200).astype(np.uint8)
    assert exposure.features([board])[0].tolist() == pytest.approx([100, 0, 0], abs=1e-3)


def test_darker_images_that_are_positive_are_ranked_higher() -> None:
    rng = np.random.default_rng(0)
    label = np.arange(40) % 2 == 1
    known = np.stack([np.where(label, 80.0, 120.0) + rng.normal(0, 5, 40), np.ones(40), np.ones(40)], axis=1)
    prob = exposure.probability(known, label, np.array([[80.0, 1, 1], [100, 1, 1], [120, 1, 1]]))
    assert prob[0] > 0.9 > 0.6 > prob[1] > 0.4 > 0.1 > prob[2]


@pytest.mark.parametrize(("label", "expected"), [([True, True], 1.0), ([False, False], 0.0), ([], 0.5)])
def test_one_class_alone_gives_the_prevalence(label: list[bool], expected: float) -> None:
    known = np.ones((len(label), 3))
    found = exposure.probability(known, np.array(label, bool), np.zeros((2, 3)))
    assert found.tolist() == [expected] * 2
