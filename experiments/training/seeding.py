"""Seed each epoch and step by its number, so that a resumed training draws what an uninterrupted one draws."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from experiments import ranks
from imaging.data.sampler import EpochSampler


class Seeding(Callback):
    """Sets the sampler's epoch, and PyTorch's seed from (seed, epoch, step, rank) before each step."""

    def __init__(self, sampler: EpochSampler) -> None:
        self.sampler = sampler

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Lightning does so itself, but not in the first epoch after a resume.
        self.sampler.set_epoch(trainer.current_epoch)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        # Dropout and the like: the same after a resume, and however many numbers the loaders drew in between.
        entropy = (self.sampler.seed, trainer.current_epoch, batch_idx)
        seed = np.random.SeedSequence(entropy, spawn_key=(ranks.rank(),) if ranks.rank() else ())
        torch.manual_seed(int(seed.generate_state(1)[0]))
