"""Log one row per epoch, with the same numbers whether or not the training was resumed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import psutil
from lightning.pytorch.callbacks import Callback

from experiments import ranks
from experiments.hardware import current
from experiments.settings.common import TrainingSettings

MIB = 2**20


Report = Callable[[dict[str, float], int], None]


class EpochLog(Callback):
    """Keeps one row per epoch, prints it as one line and passes it with the epoch's speed to `report`.

    Speed differs between runs and stays out of the rows, which become a file that DVC compares.
    """

    def __init__(self, title: str, speed: Speed, report: Report) -> None:
        self.title, self.speed, self.report = title, speed, report
        self.rows: list[dict[str, float]] = []

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = state_dict["rows"]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epoch = trainer.current_epoch
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if not math.isfinite(values["train/loss"]):
            raise FloatingPointError(not_finite(pl_module.settings, epoch))  # type: ignore[arg-type]
        # Otherwise callback_metrics still holds the values of an earlier validation.
        looked = (epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0
        row = {name: value for name, value in values.items() if looked or name.startswith("train/")}
        row |= {"lr": max(group["lr"] for group in trainer.optimizers[0].param_groups)}
        self.rows.append({"epoch": epoch, **row})
        if not ranks.first():
            return
        self.report({**row, **self.speed.values()}, epoch)
        row |= {"images_per_second": self.speed.images_per_second}
        shown = "  ".join(f"{name.replace('train/', '')} {value:.4g}" for name, value in row.items())
        print(f"{self.title}  epoch {epoch + 1}/{trainer.max_epochs}  {shown}", flush=True)


def not_finite(settings: TrainingSettings, epoch: int, rows: list[int] | None = None) -> str:
    """Error message for a loss that is not finite."""
    where = f" in the batch of rows {rows}" if rows else ""
    return (
        f"the loss is not finite in epoch {epoch + 1}{where}: lower lr (now {settings.lr}) or "
        f"gradient_clip (now {settings.gradient_clip}), or set precision to 32-true"
    )


class Speed(Callback):
    """Measures the training part of an epoch.

    The data's share is the time between the end of a batch's work and the arrival of the next batch. On a GPU the work is only
    queued here, yet a share near 1 still means that the loaders are the bottleneck: raise `workers`.
    """

    def __init__(self) -> None:
        self.images_per_second, self.data_share = 0.0, 0.0
        self._start = self._last = self._waited = 0.0
        self._images = 0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start = self._last = time.perf_counter()
        self._waited, self._images = 0.0, 0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._waited += time.perf_counter() - self._last

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._images += len(batch["image"]) * ranks.count()
        self._last = time.perf_counter()
        if batch_idx + 1 == trainer.num_training_batches:
            spent = max(1e-9, self._last - self._start)
            self.images_per_second, self.data_share = self._images / spent, self._waited / spent

    def values(self) -> dict[str, float]:
        """Of the last epoch: images per second, share of time waiting for data (0..1), memory in MiB."""
        return {
            "speed/images_per_second": self.images_per_second,
            "speed/data_share": self.data_share,
            **memory(),
        }


def memory() -> dict[str, float]:
    """MiB held by this process and its loaders (shared pages count in each), and the GPU's peak where there is one."""
    process = psutil.Process()
    held = sum(_held(one) for one in [process, *process.children(recursive=True)])
    found = {"memory/rss_mib": held / MIB}
    if peak := current().peak_memory():
        found["memory/gpu_peak_mib"] = peak / MIB
    return found


def _held(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.Error:  # a loader that has just ended
        return 0
