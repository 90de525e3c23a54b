"""Predictions of several checkpoints are averaged as probabilities."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from experiments.networks import checkpoint_mean, weights


@pytest.mark.parametrize(
    ("logits", "mean"),
    [
        ([0.0, math.log(3)], math.log(5 / 3)),  # probabilities 1/2 and 3/4: 5/8
        ([math.log(3), math.log(3)], math.log(3)),
        ([200.0, -200.0], 0.0),  # 1 and 0, which float32 rounds both to
        ([-90.0, -90.0, -90.0], -90.0),
    ],
)
def test_the_logit_of_the_mean_probability(logits: list[float], mean: float) -> None:
    found = checkpoint_mean.mean_logit(torch.tensor(logits)[:, None])
    assert found.item() == pytest.approx(mean, abs=1e-5)


def test_a_file_of_several_checkpoints_is_restored_as_their_mean(tmp_path: Path) -> None:
    nets = [nn.Conv2d(1, 1, 3, padding=1) for _ in range(3)]
    state = checkpoint_mean.joined([net.state_dict() for net in nets])
    assert checkpoint_mean.count(state) == 3
    weights.save(tmp_path / "fold0.safetensors", state, {})
    found = weights.restore(nn.Conv2d(1, 1, 3, padding=1), tmp_path / "fold0.safetensors")
    image = torch.randn(2, 1, 8, 8)
    with torch.inference_mode():
        wanted = torch.stack([net(image).sigmoid() for net in nets]).mean(0)
        assert torch.allclose(found(image).sigmoid(), wanted, atol=1e-6)
        assert torch.equal(checkpoint_mean.best_network(found)(image), nets[0](image))


def test_the_best_is_taken_out_of_several() -> None:
    one, other = {"w": torch.zeros(1)}, {"w": torch.ones(1)}
    assert torch.equal(checkpoint_mean.best(checkpoint_mean.joined([one, other]))["w"], one["w"])
    assert checkpoint_mean.best(one) == one
    assert checkpoint_mean.count(one) == 0
