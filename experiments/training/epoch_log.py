"""One row an epoch: what a training reports of itself, the same numbers after a resume as without one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from experiments.training import distributed
from experiments.training.speed import Speed
from experiments.settings.training import TrainingSettings
from imaging.data.sampler import EpochSampler

Report = Callable[[dict[str, float], int], None]


class EpochLog(Callback):
    """Seeds each step, keeps one row an epoch, prints it as one line and hands it with the epoch's speed to `report`.

    The speed is another in each run, so it stays out of the rows, which become a file that DVC compares.
    """

    def __init__(self, title: str, sampler: EpochSampler, speed: Speed, report: Report) -> None:
        self.title, self.sampler, self.speed, self.report = title, sampler, speed, report
        self.rows: list[dict[str, float]] = []

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = state_dict["rows"]

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Lightning does so itself, but not in the first epoch after a resume.
        self.sampler.set_epoch(trainer.current_epoch)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        # Dropout and the like: the same after a resume, and however many numbers the loaders drew in between.
        entropy = (self.sampler.seed, trainer.current_epoch, batch_idx)
        seed = np.random.SeedSequence(entropy, spawn_key=(distributed.rank(),) if distributed.rank() else ())
        torch.manual_seed(int(seed.generate_state(1)[0]))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epoch = trainer.current_epoch
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if not math.isfinite(values["train/loss"]):
            raise FloatingPointError(not_finite(pl_module.settings, epoch))  # type: ignore[arg-type]
        # Else callback_metrics holds an older look at the validation images.
        looked = (epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0
        row = {name: value for name, value in values.items() if looked or name.startswith("train/")}
        row |= {"lr": trainer.optimizers[0].param_groups[0]["lr"]}
        self.rows.append({"epoch": epoch, **row})
        if not distributed.first():
            return
        self.report({**row, **self.speed.values()}, epoch)
        row |= {"images_per_second": self.speed.images_per_second}
        shown = "  ".join(f"{name.replace('train/', '')} {value:.4g}" for name, value in row.items())
        print(f"{self.title}  epoch {epoch + 1}/{trainer.max_epochs}  {shown}", flush=True)


def not_finite(settings: TrainingSettings, epoch: int, rows: list[int] | None = None) -> str:
    """What a user reads when the loss is not a number."""
    where = f" in the batch of rows {rows}" if rows else ""
    return (
        f"the loss is not a number any more in epoch {epoch + 1}{where}: lower lr (now {settings.lr}) or "
        f"gradient_clip (now {settings.gradient_clip}), or set precision to 32-true"
    )
