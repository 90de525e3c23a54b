"""Divide a training step into passes that fit into the GPU's memory, so that any card trains a recipe unchanged."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn

from experiments.hardware import Hardware
from experiments.networks.precision import choose_precision
from experiments.plan.batch import fit_batch
from experiments.plan.cost import Loss, StepCost, step_cost
from experiments.settings.training import TrainingSettings

T = TypeVar("T", bound=TrainingSettings)


def divided(net: nn.Module, loss: Loss, settings: T, hardware: Hardware) -> T:
    """Settings with the batch of one pass and accumulation for the rest; batch_size x accumulate stays what it was.

    `micro_batch: auto` takes the largest part of the batch whose step, measured on fake tensors, fits into the GPU's memory, and
    does nothing without a GPU. ValueError when even the smallest part does not fit.
    """
    if settings.micro_batch is None or (settings.micro_batch == "auto" and hardware.kind == "cpu"):
        return settings
    if settings.micro_batch == "auto":
        part, bytes_needed, fits = _largest(net, loss, settings, hardware)
        if not fits:
            raise ValueError(
                f"batch_size {settings.batch_size} at image_size {settings.image_size}: a pass of {part} images takes "
                f"{bytes_needed / 1e9:.1f} GB, the GPU has {hardware.memory / 1e9:.1f}; lower image_size, take a smaller "
                "network, or set micro_batch to null to try all the same"
            )
        whole = part * settings.processes
    else:
        whole = settings.micro_batch
    times = settings.batch_size // whole
    return settings.model_copy(update={"batch_size": whole, "accumulate": settings.accumulate * times})


def _largest(net: nn.Module, loss: Loss, settings: T, hardware: Hardware) -> tuple[int, int, bool]:
    precision = choose_precision(settings.precision, hardware)

    def cost(batch: int) -> StepCost:
        return step_cost(copy.deepcopy(net), loss, settings, precision, hardware, batch)

    fit = fit_batch(cost, settings.batch_size // settings.processes, settings.accumulate, hardware.memory)
    return fit.batch, fit.bytes, fit.fits
