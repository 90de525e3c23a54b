"""Trainings one after the other: weights go from hand to hand, a kill in any phase changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from classification.objective import Objective
from experiments.networks import checkpoint_mean, weights
from experiments.settings.training import ClassificationSettings, phases_of
from experiments.training import phases, train_fold
from experiments.training.checkpoints import Trained
from imaging.prepared import Prepared
from tests.experiments.training.test_loop import SETTINGS, Quits, network, prepared, same

__all__ = ["prepared"]
PARTS = [{"batch_size": 4, "epochs": 2}, {"epochs": 3, "lr": 1e-4}]


def run(
    prepared: Prepared, resume: Path, callbacks: list[Callback] | None = None, **changes: Any
) -> tuple[Trained, list[int]]:
    settings = ClassificationSettings(**{**SETTINGS, "phases": PARTS, **changes})
    told: list[int] = []
    data = lambda phase: train_fold.datasets(prepared, 0, phase)  # noqa: E731
    groups = train_fold.validation_groups(prepared, data(settings)[1])
    objective = lambda phase: Objective(phase, groups)  # noqa: E731
    done = phases.fit(
        network(), settings, objective, data, title="test", resume=resume, callbacks=callbacks,
        report=lambda row, epoch: told.append(epoch),
    )  # fmt: skip
    return done, told


def test_phases_take_the_section_and_what_differs_for_them() -> None:
    one, two = phases_of(ClassificationSettings(**SETTINGS, phases=PARTS))
    assert (one.batch_size, one.epochs, one.lr, one.seed) == (4, 2, 1e-3, 5)
    assert (two.batch_size, two.epochs, two.lr, two.seed) == (2, 3, 1e-4, 105)
    assert one.phases == two.phases == []
    with pytest.raises(ValueError, match=r"unknown key `classification\.phases\.1\.size`"):
        phases_of(ClassificationSettings(**SETTINGS, phases=[{}, {"size": 3}]))


def test_weights_are_handed_on_and_epochs_numbered_through(prepared: Prepared, tmp_path: Path) -> None:
    both, told = run(prepared, tmp_path / "both")
    assert told == [0, 1, 2, 3, 4] == [row["epoch"] for row in both.history]
    first, _ = run(prepared, tmp_path / "first", phases=PARTS[:1])
    still, _ = run(
        prepared, tmp_path / "still", phases=[PARTS[0], {**PARTS[1], "lr": 1e-12, "weight_decay": 0}]
    )
    names = [name for name in first.state if name.endswith("weight")]
    assert all(torch.allclose(first.state[name], still.state[name], atol=1e-9) for name in names)
    assert not same(first, both)


@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_a_killed_run_ends_as_one_that_was_not(prepared: Prepared, tmp_path: Path, epoch: int) -> None:
    """In the first phase, which has epochs 0 and 1, or in the second."""
    whole, _ = run(prepared, tmp_path / "whole")
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run(prepared, tmp_path / "killed", [Quits(epoch)])
    resumed, _ = run(prepared, tmp_path / "killed")
    assert same(whole, resumed)
    assert [row["train/loss"] for row in whole.history] == [row["train/loss"] for row in resumed.history]


def test_only_the_last_phase_keeps_its_checkpoints_apart(prepared: Prepared, tmp_path: Path) -> None:
    best = {"keep": "best", "validate_every": 1, "top": 2, "top_average": "predictions"}
    done, _ = run(prepared, tmp_path, **best)
    assert checkpoint_mean.count(done.state) == 2
    assert checkpoint_mean.count(weights.load_state(tmp_path / "phase0" / phases.DONE)) == 0
