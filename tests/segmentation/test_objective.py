"""What a trial's masks would earn, from maps of a few pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from experiments.settings.training import SegmentationSettings
from segmentation.objective import BINS, Objective, levels

SIDE = 16


def batch(prob: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    return torch.logit(prob.clamp(1e-6, 1 - 1e-6)), {"mask": mask}


def maps(seed: int, skill: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Forty images, every second with a square; maps that show it as clearly as `skill`."""
    random = torch.Generator().manual_seed(seed)
    mask = torch.zeros(40, 1, SIDE, SIDE, dtype=torch.uint8)
    mask[::2, :, 4:9, 4:9] = 1
    noise = torch.rand(mask.shape, generator=random)
    return skill * mask + (1 - skill) * noise, mask


def judge(prob: torch.Tensor, mask: torch.Tensor) -> dict[str, float]:
    judged = Objective(SegmentationSettings(models=["u"]), np.arange(40) // 2 % 5)
    output, truth = batch(prob, mask)
    return judged.summary(judged.evidence(output, truth))


def test_levels_count_pixels_of_the_map_and_inside_the_truth() -> None:
    prob = torch.tensor([0.0, 7.4, 8.0, 255.0]).div(255).reshape(1, 1, 2, 2)
    mask = torch.tensor([0, 1, 1, 0], dtype=torch.uint8).reshape(1, 1, 2, 2)
    total, inside = levels(prob, mask).reshape(2, BINS).numpy()
    assert {int(i): int(total[i]) for i in np.flatnonzero(total)} == {0: 2, 1: 1, 31: 1}
    assert {int(i): int(inside[i]) for i in np.flatnonzero(inside)} == {0: 1, 1: 1}


def test_perfect_maps_earn_everything() -> None:
    _, mask = maps(0, 1.0)
    found = judge(mask.float(), mask)
    assert found["kaggle"] == pytest.approx(1.0)
    assert found["score"] == pytest.approx(1.0001)


def test_maps_without_any_skill_earn_what_empty_masks_do_or_a_little_less() -> None:
    found = judge(*maps(1, 0.0))
    assert 0.4 <= found["kaggle"] <= 0.5


def test_more_skill_earns_more() -> None:
    earned = [judge(*maps(2, skill))["score"] for skill in (0.0, 0.35, 0.5)]
    assert earned == sorted(earned)
    assert earned[2] > earned[0] + 0.2


def test_the_trainings_own_metrics_stay() -> None:
    assert {"loss", "dice_positive", "tnr", "kaggle", "score"} <= set(judge(*maps(3, 0.6)))
