"""What a trial's masks would earn, from maps of a few pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from experiments.settings.training import SegmentationSettings
from imaging import map_levels
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
    """A range is 0.56 of the logit wide; the tenth begins at one half."""
    logit = torch.tensor([-torch.inf, torch.nan, -0.01, 0.0, 0.55, 0.57, 6.0, 50.0]).reshape(1, 1, 2, 4)
    mask = torch.tensor([0, 0, 1, 1, 0, 0, 1, 0], dtype=torch.uint8).reshape(1, 1, 2, 4)
    total, inside = levels(logit, mask).reshape(2, BINS).numpy()
    assert {int(i): int(total[i]) for i in np.flatnonzero(total)} == {0: 2, 9: 1, 10: 2, 11: 1, 20: 1, 31: 1}
    assert {int(i): int(inside[i]) for i in np.flatnonzero(inside)} == {9: 1, 10: 1, 20: 1}


def test_ranges_are_those_of_the_maps_on_the_disk() -> None:
    logit = torch.linspace(-7, 14, 400).reshape(1, 1, 20, 20)
    total, _ = levels(logit, torch.zeros(logit.shape)).reshape(2, BINS).numpy()
    stored = map_levels.encode(logit.double().sigmoid().numpy())
    assert total.tolist() == np.bincount(stored.ravel() // 8, minlength=BINS).tolist()


def test_perfect_maps_earn_everything() -> None:
    _, mask = maps(0, 1.0)
    found = judge(mask.float(), mask)
    assert found["kaggle"] == pytest.approx(1.0)
    assert found["score"] == pytest.approx(1.0001)


def test_maps_without_any_skill_earn_about_what_empty_masks_do() -> None:
    found = judge(*maps(1, 0.0))
    assert 0.4 <= found["kaggle"] <= 0.52


def test_more_skill_earns_more() -> None:
    earned = [judge(*maps(2, skill))["score"] for skill in (0.0, 0.35, 0.5)]
    assert earned == sorted(earned)
    assert earned[2] > earned[0] + 0.2


def test_the_trainings_own_metrics_stay() -> None:
    assert {"loss", "dice_positive", "tnr", "kaggle", "score"} <= set(judge(*maps(3, 0.6)))
