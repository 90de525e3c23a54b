"""Counts and their summary by hand."""

from __future__ import annotations

import pytest
import torch

from segmentation.metrics import counts, summary
from segmentation.predict import quantise


def test_counts_of_intersection_prediction_and_truth() -> None:
    prob = torch.tensor([[0.5, 0.49], [0.9, 0.1]]).reshape(1, 1, 2, 2)
    mask = torch.tensor([[1, 1], [0, 0]]).reshape(1, 1, 2, 2)
    assert counts(prob, mask).tolist() == [[1, 2, 2]]
    assert counts(prob, mask, threshold=0.05).tolist() == [[2, 4, 2]]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        ([[1, 2, 2]], {"dice_positive": 0.5, "iou_positive": 1 / 3}),
        ([[0, 0, 4], [4, 4, 4]], {"dice_positive": 0.5, "iou_positive": 0.5}),
        ([[0, 0, 0], [0, 3, 0], [0, 0, 0]], {"tnr": 2 / 3}),
        ([[1, 2, 2], [0, 0, 0]], {"dice_positive": 0.5, "iou_positive": 1 / 3, "tnr": 1.0}),
    ],
)
def test_summary_averages_over_images(count: list[list[int]], expected: dict[str, float]) -> None:
    assert summary(torch.tensor(count, dtype=torch.float32)) == pytest.approx(expected)


def test_probabilities_become_the_nearest_of_256_levels() -> None:
    assert quantise(torch.tensor([0.0, 0.0019, 0.002, 0.5, 0.9981, 1.0])).tolist() == [0, 0, 1, 128, 255, 255]
