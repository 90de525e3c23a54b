"""Divide a training step into passes that fit into the GPU's memory, so that any card trains a recipe unchanged."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

from torch import nn

from experiments.hardware import Hardware
from experiments.networks.precision import choose_precision
from experiments.plan.batch import Fit, fit_batch
from experiments.plan.cost import Loss, StepCost, step_cost
from experiments.settings.common import TrainingSettings
from imaging.data import device_cache
from imaging.data.dataset import Images

T = TypeVar("T", bound=TrainingSettings)


def divided(net: nn.Module, loss: Loss, settings: T, hardware: Hardware, resident: int = 0) -> T:
    """Settings with the batch of one pass and accumulation for the rest; batch_size x accumulate stays what it was.

    `micro_batch: auto` takes the largest part of the batch whose step, measured on fake tensors, fits into the GPU's memory
    together with `resident` bytes of images, and does nothing without a GPU. ValueError when even the smallest part does not
    fit.
    """
    if settings.micro_batch is None or (settings.micro_batch == "auto" and hardware.kind == "cpu"):
        return settings
    if settings.micro_batch == "auto":
        fit = _largest(net, loss, settings, hardware, resident)
        if not fit.fits:
            held = f", {resident / 1e9:.1f} of them images (data_on_device)" if resident else ""
            raise ValueError(
                f"batch_size {settings.batch_size} at image_size {settings.image_size}: a pass of {fit.batch} images "
                f"takes {fit.bytes / 1e9:.1f} GB{held}, the GPU has {hardware.memory / 1e9:.1f} GB; lower "
                f"image_size, use a smaller network{', set data_on_device to false' if resident else ''}, or set "
                "micro_batch to null to train without this check"
            )
        whole = fit.batch * settings.processes
    else:
        whole = settings.micro_batch
    times = settings.batch_size // whole
    return settings.model_copy(update={"batch_size": whole, "accumulate": settings.accumulate * times})


def resident_bytes(sets: Sequence[Images], settings: TrainingSettings, hardware: Hardware) -> int:
    """Bytes of the training and validation images that loop.fit will keep in the GPU's memory; 0 without a GPU."""
    if hardware.kind == "cpu":
        return 0
    fused = all(device_cache.on_device(images) for images in sets)
    parts = [device_cache.size(images) for images in sets]
    return device_cache.planned(
        parts, settings.data_on_device, fused, settings.loader_processes, hardware.memory
    )


def _largest(net: nn.Module, loss: Loss, settings: T, hardware: Hardware, resident: int) -> Fit:
    precision = choose_precision(settings.precision, hardware)

    def cost(batch: int) -> StepCost:
        return step_cost(copy.deepcopy(net), loss, settings, precision, hardware, batch)

    batch = settings.batch_size // settings.processes
    return fit_batch(cost, batch, settings.accumulate, hardware.memory, resident)
