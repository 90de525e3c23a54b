"""A network and its objective as a LightningModule; each stage brings an `Objective`."""

from __future__ import annotations

from typing import Any, Protocol

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from experiments import ranks
from experiments.hardware import Hardware, current
from experiments.monitoring.epoch_log import not_finite
from experiments.networks.normalisation import normalise
from experiments.settings.common import TrainingSettings
from experiments.training import distributed
from experiments.training.optimisation import make_optimiser, make_schedule, report_score
from imaging.data import augment_batch
from imaging.data.sampler import Share

Batch = dict[str, Tensor]


class Objective(Protocol):
    """What a stage brings: loss, evidence of each validation image, metrics of all of it."""

    def loss(self, output: Any, batch: Batch) -> Tensor:
        """Scalar training loss of a batch from the network's output in training mode."""

    def evidence(self, output: Any, batch: Batch) -> Tensor:
        """(B, K) numbers for each validation image, on the device."""

    def summary(self, evidence: Tensor) -> dict[str, float]:
        """Validation metrics from all images' evidence (N, K); `score` (higher is better) chooses the best checkpoint."""

    def maps(self, net: nn.Module, image: Tensor) -> Tensor | None:
        """Probabilities (B, h, w) of a finding in each place; None for a network that does not localise."""


class Learner(pl.LightningModule):
    """A network and its objective as a LightningModule; images come as uint8 and are normalised on the device."""

    def __init__(
        self,
        net: nn.Module,
        objective: Objective,
        settings: TrainingSettings,
        hardware: Hardware | None = None,
    ) -> None:
        super().__init__()
        self.net = net.to(memory_format=torch.channels_last)
        self.objective = objective
        self.settings = settings
        self.hardware = hardware or current()
        self._evidence: list[Tensor] = []

    def forward(self, image: Tensor) -> Any:
        return self.net(normalise(image, self.net).contiguous(memory_format=torch.channels_last))

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        return augment_batch.changed(batch)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = self.objective.loss(self(batch["image"]), batch)
        # On a GPU each check would wait for the step; EpochLog checks the epoch's mean.
        if loss.device.type == "cpu" and not torch.isfinite(loss):
            raise FloatingPointError(not_finite(self.settings, self.current_epoch, batch["row"].tolist()))
        several = ranks.count() > 1
        self.log(
            "train/loss",
            loss,
            on_step=False,
            on_epoch=True,
            batch_size=len(batch["image"]),
            sync_dist=several,
        )
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evidence.append(self.objective.evidence(self(batch["image"]), batch))

    def on_validation_epoch_end(self) -> None:
        evidence = torch.cat(self._evidence)
        self._evidence.clear()
        if ranks.count() > 1:
            images = len(self.trainer.val_dataloaders.dataset)  # type: ignore[union-attr]
            evidence = Share.in_order(distributed.all_gather(evidence), images)
        evidence = evidence.cpu()
        if not torch.isfinite(evidence).all():
            raise FloatingPointError(not_finite(self.settings, self.current_epoch))
        summary = self.objective.summary(evidence)
        self.log_dict({f"val/{name}": value for name, value in summary.items()})
        report_score(self.lr_schedulers(), summary["score"])

    def configure_optimizers(self) -> Any:
        optimiser = make_optimiser(self.net, self.settings, self.hardware)
        steps = int(self.trainer.estimated_stepping_batches)
        return {"optimizer": optimiser, "lr_scheduler": make_schedule(optimiser, self.settings, steps)}

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradient's norm. Lightning's own refuses fused optimisers, because of fp16's scaled gradients; ours are
        never fused in fp16 (see make_optimiser)."""
        if gradient_clip_val:
            parameters = [one for group in optimizer.param_groups for one in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, gradient_clip_val)
