"""Learning rates by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from experiments.settings.training import ClassificationSettings
from experiments.training.optimisation import make_optimiser, make_schedule, rate

PLAIN: dict[str, Any] = {"models": ["c"], "lr": 1.0, "warmup": 0.0}


def settings(**changes: Any) -> ClassificationSettings:
    return ClassificationSettings(**{**PLAIN, **changes})


@pytest.mark.parametrize(
    ("changes", "step", "expected"),
    [
        ({"schedule": "constant", "warmup": 0.2}, 0, 1 / 3),  # two of ten steps: (0 + 1) / (2 + 1)
        ({"schedule": "constant", "warmup": 0.2}, 1, 2 / 3),
        ({"schedule": "constant", "warmup": 0.2}, 9, 1.0),
        ({"schedule": "cosine", "warmup": 0.2}, 2, 1.0),
        ({"schedule": "cosine", "warmup": 0.2}, 6, 0.5),
        ({"schedule": "cosine"}, 10, 0.0),
        ({"schedule": "poly"}, 5, 0.5**0.9),
        ({"schedule": "poly"}, 10, 0.0),
        # down to lr_end, as mmsegmentation's eta_min: end + (lr - end) * factor
        ({"schedule": "poly", "lr_end": 0.2}, 5, 0.2 + 0.8 * 0.5**0.9),
        ({"schedule": "poly", "lr_end": 1.0}, 5, 1.0),
        ({"schedule": "cosine", "lr_end": 0.2}, 10, 0.2),
        # two cycles of five steps: the second begins at the top again and ends at the bottom
        ({"schedule": "cosine", "cycles": 2}, 4, 0.5 * (1 - 0.8090169944)),  # cos(4/5 pi)
        ({"schedule": "cosine", "cycles": 2}, 5, 1.0),
        ({"schedule": "cosine", "cycles": 2}, 10, 0.0),
        ({"schedule": "cosine_wave", "cycles": 2}, 5, 0.0),
        ({"schedule": "cosine_wave", "cycles": 2}, 10, 1.0),  # cos(2 pi)
        ({"schedule": "cosine_wave", "cycles": 5, "lr_end": 0.2}, 1, 0.6),  # cos(pi / 2)
        ({"schedule": "cosine", "lr": 0.01}, 5, 0.005),
    ],
)
def test_learning_rate_of_ten_steps(changes: dict[str, Any], step: int, expected: float) -> None:
    assert rate(settings(**changes), step, 10) == pytest.approx(expected)


def test_a_plateau_lowers_the_rate_after_its_patience_and_not_below_the_end() -> None:
    chosen = settings(schedule="plateau", lr_patience=1, lr_end=0.05, optimiser="sgd")
    optimiser = make_optimiser(torch.nn.Linear(1, 1), chosen)
    plateau = make_schedule(optimiser, chosen, 10)["scheduler"]
    seen = []
    for score in (0.5, 0.6, 0.6, 0.5, 0.5, 0.5, 0.5):  # better, better, then never again
        plateau.step(score)
        seen.append(optimiser.param_groups[0]["lr"])
    assert seen == pytest.approx([1, 1, 1, 0.1, 0.1, 0.05, 0.05])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schedule": "poly", "cycles": 2}, "cycles 2 needs `schedule: cosine`"),
        ({"schedule": "plateau", "warmup": 0.1}, "warmup 0.1 cannot be combined with `schedule: plateau`"),
        ({"lr_end": 2.0}, "lr_end 2.0 is above lr 1.0"),
        ({"iterations": 25}, "iterations 25 must be a multiple of epochs 10"),
        ({"top": 3}, "top 3 needs `keep: best`"),
    ],
)
def test_contradictions_are_errors(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        settings(**changes)


@pytest.mark.parametrize("name", ["adam", "adamw", "radam", "sgd"])
def test_biases_and_norms_are_not_decayed(name: str) -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 1))
    groups = make_optimiser(net, settings(optimiser=name, weight_decay=0.1)).param_groups
    decay = {group["weight_decay"]: sum(p.numel() for p in group["params"]) for group in groups}
    assert decay == {0.0: 4 + 4 + 4 + 1, 0.1: 36 + 4}
