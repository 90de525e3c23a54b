"""The optimisers by name."""

from __future__ import annotations

from typing import Any

import torch
from timm.optim import param_groups_weight_decay
from torch import nn

from experiments.settings.training import TrainingSettings


def make_optimiser(net: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """The optimiser named in the settings; biases and normalisation layers are not decayed."""
    groups = param_groups_weight_decay(net, weight_decay=settings.weight_decay)
    if settings.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=settings.lr, momentum=0.9)
    kinds: dict[str, Any] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "radam": torch.optim.RAdam}
    extra = {"fused": True} if torch.cuda.is_available() and settings.optimiser != "radam" else {}
    return kinds[settings.optimiser](groups, lr=settings.lr, **extra)
