"""Run one real batch through every network before training, in its precision and memory format."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn
from torch.utils.data import default_collate

from experiments.hardware import Hardware, current
from experiments.monitoring.failures import is_memory
from experiments.networks import earlier_run, leak_check
from experiments.networks.normalisation import normalise
from experiments.networks.precision import autocast, choose_precision
from experiments.settings.common import TrainingSettings
from experiments.settings.training import for_model, phases_of
from experiments.training import micro_batch, train_fold
from experiments.training.learner import Batch, Objective
from experiments.training.train_fold import Groups
from imaging.data import augment_batch
from imaging.data.dataset import Images
from imaging.data.sampler import EpochSampler
from imaging.prepared import Prepared

T = TypeVar("T", bound=TrainingSettings)


def check_model(
    stage: str,
    model: str,
    section: T,
    build: Callable[[T], nn.Module],
    objective: Callable[[T, Groups], Objective],
    prepared: Prepared,
    number: int,
    hardware: Hardware | None = None,
) -> int:
    """Build a model's network for each of its phases, and run the first batch of fold `number` forward and backward.

    Returns the number of parameters. ValueError names the stage, the model and the setting to change.
    """
    hardware = hardware or current()
    settings = earlier_run.for_fold(for_model(section, model), stage, model, number)
    leak_check.check(stage, settings, prepared, number)
    for phase in phases_of(settings):
        where = f"{stage}, model {model}, {phase.image_size} px, batch_size {phase.batch_size}"
        sets = train_fold.datasets(prepared, number, phase)
        judge = objective(phase, np.zeros(1, np.int64))
        try:
            net = build(phase)
            resident = micro_batch.resident_bytes(sets, phase, hardware)
            phase = micro_batch.divided(net, judge.loss, phase, hardware, resident)
            net = net.to(hardware.device).to(memory_format=torch.channels_last)
            precision = choose_precision(phase.precision, hardware)
            loss = step(net, judge, first_batch(sets[0], phase), precision, hardware)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        except Exception as error:
            fix = (
                "lower batch_size and raise accumulate by the same factor, or lower image_size"
                if is_memory(error)
                else "check that architecture, encoder and image_size fit together"
            )
            raise ValueError(f"{where}: cannot be trained; {fix} ({_first_line(error)})") from error
        if not loss == loss or loss in (float("inf"), float("-inf")):
            raise ValueError(f"{where}: the first loss is {loss}; check the loss settings and the masks")
    return sum(parameter.numel() for parameter in net.parameters())


def first_batch(images: Images, settings: TrainingSettings) -> Batch:
    """The first batch of the first epoch, collated as in training."""
    order = iter(EpochSampler(images, settings.sampling, settings.seed, settings.epochs))
    batch = settings.batch_size // settings.processes  # what one process holds
    chosen = [place for place, _ in zip(order, range(batch), strict=False)]
    return default_collate([images[place] for place in chosen])


def step(net: nn.Module, objective: Objective, batch: Batch, precision: str, hardware: Hardware) -> float:
    """Forward and backward in training mode, then one image in validation mode; the loss."""
    batch = augment_batch.changed({name: value.to(hardware.device) for name, value in batch.items()})
    image = normalise(batch["image"], net).contiguous(memory_format=torch.channels_last)
    with autocast(precision, hardware):
        loss = objective.loss(net.train()(image), batch)
    loss.backward()
    with torch.inference_mode(), autocast(precision, hardware):
        evidence: Any = objective.evidence(net.eval()(image[:1]), {n: v[:1] for n, v in batch.items()})
    if len(evidence) != 1:
        raise ValueError(f"one image gave {len(evidence)} rows of evidence")
    return float(loss.detach())


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"
