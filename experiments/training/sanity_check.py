"""One real batch through a network before hours are spent: what cannot be trained is said at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils.data import default_collate

from experiments.monitoring.failures import is_memory
from experiments.networks.inference import device
from experiments.networks.normalisation import normalise
from experiments.settings.training import TrainingSettings, for_model, phases_of
from experiments.training import train_fold
from experiments.training.loop import Batch, Objective
from imaging.data.dataset import Images
from imaging.data.sampler import EpochSampler
from imaging.prepared import Prepared

T = TypeVar("T", bound=TrainingSettings)


def rehearse(
    stage: str,
    model: str,
    section: T,
    build: Callable[[T], nn.Module],
    objective: Callable[[T], Objective],
    prepared: Prepared,
    number: int,
) -> int:
    """Build a member's network for each of its phases, and take the first batch of fold `number` through it and back.

    Returns the network's parameters. ValueError names the stage, the model and what to change.
    """
    for phase in phases_of(for_model(section, model)):
        where = f"{stage}, model {model}, {phase.image_size} px, batch_size {phase.batch_size}"
        images, _ = train_fold.datasets(prepared, number, phase)
        try:
            net = build(phase).to(device())
            loss = step(net, objective(phase), first_batch(images, phase))
        except ValueError:
            raise  # says itself what is wrong
        except Exception as error:
            mend = (
                "lower batch_size and raise accumulate as much, or lower image_size"
                if is_memory(error)
                else "check architecture, encoder and image_size against each other"
            )
            raise ValueError(f"{where}: cannot be trained; {mend} ({_first_line(error)})") from error
        if not loss == loss or loss in (float("inf"), float("-inf")):
            raise ValueError(f"{where}: the first loss is {loss}; check the loss's settings and the masks")
    return sum(parameter.numel() for parameter in net.parameters())


def first_batch(images: Images, settings: TrainingSettings) -> Batch:
    """The first batch of the first epoch, collated as in training."""
    order = iter(EpochSampler(images, settings.sampling, settings.seed, settings.epochs))
    batch = settings.batch_size // settings.processes  # what one process holds
    chosen = [place for place, _ in zip(order, range(batch), strict=False)]
    return default_collate([images[place] for place in chosen])


def step(net: nn.Module, objective: Objective, batch: Batch) -> float:
    """Forward and backward in training mode, and a look in validation mode; the loss."""
    batch = {name: value.to(device()) for name, value in batch.items()}
    image = normalise(batch["image"])
    loss = objective.loss(net.train()(image), batch)
    loss.backward()
    with torch.inference_mode():
        evidence: Any = objective.evidence(net.eval()(image[:1]), {n: v[:1] for n, v in batch.items()})
    if len(evidence) != 1:
        raise ValueError(f"one image gave {len(evidence)} rows of evidence")
    return float(loss.detach())


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"
