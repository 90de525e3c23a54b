"""Counts and their summary by hand."""

from __future__ import annotations

import pytest
import torch

from segmentation.metrics import counts, pooled, summary


def test_counts_of_intersection_prediction_and_truth() -> None:
    prob = torch.tensor([[0.5, 0.49], [0.9, 0.1]]).reshape(1, 1, 2, 2)
    mask = torch.tensor([[1, 1], [0, 0]]).reshape(1, 1, 2, 2)
    assert counts(prob, mask).tolist() == [[1, 2, 2, 4]]
    assert counts(prob, mask, threshold=0.05).tolist() == [[2, 4, 2, 4]]


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
    table = torch.tensor([[*row, 16] for row in count], dtype=torch.float32)
    assert summary(table) == pytest.approx({**expected, **pooled(table)})


@pytest.mark.parametrize(
    ("count", "miou", "mdice", "weighted"),
    [
        # both 5 of 9 and 7 in 200 pixels: IoU 5/11 and 189/195, Dice 10/16 and 378/384; 7 true pixels of 200
        (
            [[1, 2, 2, 100], [4, 7, 5, 100]],
            (5 / 11 + 189 / 195) / 2,
            (10 / 16 + 378 / 384) / 2,
            (5 / 11 * 7 + 189 / 195 * 193) / 200,
        ),
        ([[0, 0, 0, 100]], 1.0, 1.0, 1.0),  # no finding anywhere: the background alone
        ([[0, 10, 0, 100]], 0.9 / 2, (180 / 190) / 2, 0.9),
    ],
)
def test_pooled_is_mmsegmentations_view(
    count: list[list[int]], miou: float, mdice: float, weighted: float
) -> None:
    values = pooled(torch.tensor(count, dtype=torch.float32))
    assert (values["miou"], values["mdice"]) == pytest.approx((miou, mdice))
    assert values["iou_weighted"] == pytest.approx(weighted)
