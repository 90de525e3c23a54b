"""How fast an epoch went, how long it waited for its data, and how much memory it holds."""

from __future__ import annotations

import time
from typing import Any

import lightning.pytorch as pl
import psutil
import torch
from lightning.pytorch.callbacks import Callback

from experiments.training import distributed

MIB = 2**20


class Speed(Callback):
    """Measures the training part of an epoch.

    The data's share is the time between the end of a batch's work and the next batch at hand. On a GPU the work is only
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
        self._images += len(batch["image"]) * distributed.count()
        self._last = time.perf_counter()
        if batch_idx + 1 == trainer.num_training_batches:
            spent = max(1e-9, self._last - self._start)
            self.images_per_second, self.data_share = self._images / spent, self._waited / spent

    def values(self) -> dict[str, float]:
        """Of the last epoch: images a second, share of time waiting for data (0..1), memory in MiB."""
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
    if torch.cuda.is_available():
        found["memory/gpu_peak_mib"] = torch.cuda.max_memory_allocated() / MIB
    return found


def _held(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.Error:  # a loader that has just ended
        return 0
