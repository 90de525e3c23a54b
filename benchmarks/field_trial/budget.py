"""One budget for all: images shown x FLOP of a forward pass, whatever the network and the resolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from experiments.settings.common import TrainingSettings
from experiments.settings.training import phases_of
from imaging.io.config import validate


@dataclass(frozen=True)
class Budget:
    """What one training may cost: `images` of the reference network, the ordinary loop's U-Net at the reference size."""

    images: int
    reference: float
    """FLOP of the reference network's forward pass for one image."""

    def shown(self, flops: float, share: float = 1.0) -> int:
        """Images that a network of `flops` an image may be shown for a share of the budget."""
        return round(share * self.images * self.reference / flops)


def flops_of(net: nn.Module, size: int) -> float:
    """FLOP (two for each multiply-add) of the forward pass for one image (1, size, size)."""
    was = net.training
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net.eval()(torch.zeros(1, 1, size, size))
    net.train(was)
    return float(counter.get_total_flops())


def budgeted(settings: Any, images: int, lengths: tuple[int, ...] = ()) -> Any:
    """The settings with so many images shown in all, divided over their phases as `lengths`, by default the phases' epochs.

    `keep: last` is validated once, at the end; `keep: best` at four points of each phase; there are no early stops.
    """
    chain: list[TrainingSettings] = phases_of(settings)
    if len(lengths) != len(chain):
        lengths = tuple(phase.epochs for phase in chain)
    phases = []
    for phase, length in zip(chain, lengths, strict=True):
        step = phase.batch_size * phase.accumulate
        steps = max(1, round(images * length / sum(lengths) / step))
        pieces = 1 if phase.keep == "last" else min(4, steps)
        phases.append(
            {
                **phase.model_dump(exclude={"phases"}),
                "epochs": pieces,
                "iterations": steps // pieces * pieces,
                "validate_every": 1,
                "patience": None,
                "top": min(phase.top, pieces),
            }
        )
    first = {**phases[0], "phases": phases if len(phases) > 1 else []}
    return validate(type(settings), first, "budget")


def shown_by(settings: TrainingSettings) -> int:
    """Images that budgeted settings show."""
    return sum((phase.iterations or 0) * phase.batch_size * phase.accumulate for phase in phases_of(settings))
