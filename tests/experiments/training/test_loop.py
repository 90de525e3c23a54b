"""The loop: two runs agree, a killed run ends as one that was not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from classification.objective import Objective
from experiments.hardware import Hardware
from experiments.networks import checkpoint_mean
from experiments.networks.normalisation import normalise
from experiments.settings.training import ClassificationSettings
from experiments.training import train_fold
from experiments.training.loop import Trained, fit
from imaging.prepared import Prepared
from tests.imaging.conftest import make_prepared

SETTINGS: dict[str, Any] = {"models": ["c"], "image_size": 32, "epochs": 4, "batch_size": 2, "seed": 5}
FUSED = {"augment": {"engine": "fused", "probability": 1}}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return Prepared(make_prepared(tmp_path_factory.mktemp("training")))


def network() -> torch.nn.Module:
    torch.manual_seed(1)
    layers = [torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Dropout(0.3)]
    return torch.nn.Sequential(
        *layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 1)
    )


class Quits(Callback):
    """Ends the process' work as a kill between two batches would, in the middle of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        if trainer.current_epoch == self.epoch:
            raise KeyboardInterrupt


def run(
    prepared: Prepared,
    resume: Path,
    callbacks: list[Callback] | None = None,
    hardware: Hardware | None = None,
    **changes: Any,
) -> Trained:
    settings = ClassificationSettings(**{**SETTINGS, **changes})
    train, validation = train_fold.datasets(prepared, 0, settings)
    groups = train_fold.validation_groups(prepared, validation)
    return fit(
        network(),
        Objective(settings, groups),
        train,
        validation,
        settings,
        title="test",
        resume=resume,
        callbacks=callbacks,
        hardware=hardware,
    )


def same(one: Trained, two: Trained) -> bool:
    return all(torch.equal(one.state[name], two.state[name]) for name in one.state)


def test_normalise_centres_the_mean_grey() -> None:
    image = torch.tensor([0, 255], dtype=torch.uint8).reshape(1, 1, 1, 2)
    assert normalise(image).flatten().tolist() == pytest.approx([-0.449 / 0.226, (1 - 0.449) / 0.226])


def test_two_runs_agree_bit_for_bit_and_another_seed_differs(prepared: Prepared, tmp_path: Path) -> None:
    one, two = run(prepared, tmp_path / "a"), run(prepared, tmp_path / "b", workers=2)
    assert same(one, two)
    assert not same(one, run(prepared, tmp_path / "c", seed=6))


def test_fused_changes_reach_the_network_with_and_without_workers(prepared: Prepared, tmp_path: Path) -> None:
    one, two = (run(prepared, tmp_path / str(workers), workers=workers, **FUSED) for workers in (0, 2))
    assert same(one, two)
    assert not same(one, run(prepared, tmp_path / "none", augment={"preset": "none"}))


@pytest.mark.parametrize(
    ("quits", "changes"),
    [(1, {}), (3, {}), (1, {"keep": "best"}), (3, {"keep": "best"}), (2, {"workers": 2}), (2, FUSED)],
)
def test_a_killed_run_ends_as_one_that_was_not(
    prepared: Prepared, tmp_path: Path, quits: int, changes: dict[str, Any]
) -> None:
    whole = run(prepared, tmp_path / "whole", **changes)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run(prepared, tmp_path / "killed", [Quits(quits)], **changes)
    resumed = run(prepared, tmp_path / "killed", **changes)
    assert same(whole, resumed)
    assert [row["epoch"] for row in resumed.history] == [0, 1, 2, 3]
    assert [row["train/loss"] for row in resumed.history] == [row["train/loss"] for row in whole.history]


def test_history_has_the_look_at_the_validation_fold(prepared: Prepared, tmp_path: Path) -> None:
    rows = run(prepared, tmp_path / "r", validate_every=2).history
    assert ["val/auroc" in row for row in rows] == [False, True, False, True]
    assert all(row["train/loss"] > 0 and row["lr"] >= 0 for row in rows)


def test_early_stop(prepared: Prepared, tmp_path: Path) -> None:
    done = run(prepared, tmp_path / "r", keep="best", patience=1, lr=1e-9, epochs=8, weight_decay=0)
    assert len(done.history) < 8


def test_a_loss_that_is_no_number_stops_with_the_rows(prepared: Prepared, tmp_path: Path) -> None:
    settings = ClassificationSettings(**SETTINGS, lr=0.5)
    net = network()
    torch.nn.init.constant_(net[0].weight, float("nan"))
    train, validation = train_fold.datasets(prepared, 0, settings)
    with pytest.raises(
        FloatingPointError, match=r"epoch 1 in the batch of rows \[\d+, \d+\]: lower lr \(now 0\.5\)"
    ):
        fit(
            net,
            Objective(settings, np.zeros(len(validation), int)),
            train,
            validation,
            settings,
            title="test",
            resume=tmp_path / "r",
        )


def test_the_report_has_speed_and_memory_and_the_history_has_not(prepared: Prepared, tmp_path: Path) -> None:
    told: list[dict[str, float]] = []
    settings = ClassificationSettings(**{**SETTINGS, "epochs": 1})
    train, validation = train_fold.datasets(prepared, 0, settings)
    made = fit(
        network(),
        Objective(settings, np.zeros(len(validation), int)),
        train,
        validation,
        settings,
        title="test",
        resume=tmp_path / "r",
        report=lambda row, epoch: told.append(row),
    )
    (row,) = told
    assert row["speed/images_per_second"] > 0
    assert 0 < row["speed/data_share"] < 1
    assert row["memory/rss_mib"] > 50
    assert not [name for name in made.history[0] if name.startswith(("speed", "memory"))]


@pytest.mark.parametrize(
    ("batch_size", "wish", "expected"), [(2, None, 8), (32, None, 32), (2, 4, 4), (32, 4, 4)]
)
def test_images_of_a_validation_batch(batch_size: int, wish: int | None, expected: int) -> None:
    settings = ClassificationSettings(models=["c"], batch_size=batch_size, evaluation_batch_size=wish)
    assert settings.evaluation_batch == expected


class ValidationBatches(Callback):
    """Keeps the number of images of each."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def on_validation_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, *args: Any) -> None:
        self.sizes.append(len(batch["label"]))


def test_validation_takes_larger_batches_than_training_and_counts_every_image(
    prepared: Prepared, tmp_path: Path
) -> None:
    one, two = ValidationBatches(), ValidationBatches()
    small = run(prepared, tmp_path / "a", [one], epochs=1, evaluation_batch_size=1)
    large = run(prepared, tmp_path / "b", [two], epochs=1)
    images = sum(two.sizes)
    assert 2 < images < 8
    assert (one.sizes, two.sizes) == ([1] * images, [images])
    assert same(small, large)
    assert small.metrics == pytest.approx(large.metrics, abs=1e-6)


def test_the_predictions_of_the_best_checkpoints_are_kept_apart(prepared: Prepared, tmp_path: Path) -> None:
    asked = {"keep": "best", "validate_every": 1, "top": 2}
    each = run(prepared, tmp_path / "each", **asked, top_average="predictions").state
    mean = run(prepared, tmp_path / "mean", **asked).state
    best = run(prepared, tmp_path / "best", **{**asked, "top": 1}).state
    assert checkpoint_mean.count(each) == 2
    assert all(torch.equal(value, best[name]) for name, value in checkpoint_mean.best(each).items())
    name = "0.weight"
    halves = (each[f"checkpoints.0.{name}"] + each[f"checkpoints.1.{name}"]) / 2
    assert torch.allclose(mean[name], halves)
    assert not torch.equal(each[f"checkpoints.0.{name}"], each[f"checkpoints.1.{name}"])
