"""The encoder keeps its weights for the first epochs, while the decoder, which begins at random, finds its way."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from torch import nn

from experiments.settings.training import TrainingSettings


def frozen(settings: TrainingSettings) -> list[Callback]:
    """The callback that the settings ask for, or none."""
    return [FreezeEncoder(settings.freeze_encoder)] if settings.freeze_encoder else []


def encoder_parts(net: nn.Module) -> list[nn.Module]:
    """What is kept still: `net.encoder`, or all parts of a timm classifier but the one with its last layer."""
    encoder = getattr(net, "encoder", None)
    if isinstance(encoder, nn.Module):
        return [encoder]
    classifier: Any = getattr(net, "get_classifier", lambda: None)
    last = classifier()
    if last is None:
        raise ValueError(f"freeze_encoder: {type(net).__name__} has no encoder of its own; set it to 0")
    return [part for part in net.children() if all(module is not last for module in part.modules())]


class FreezeEncoder(Callback):
    """Neither weights nor normalisation statistics of the encoder change in the first `epochs` epochs."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A function of the epoch alone, so that a resumed run is as one that was not killed."""
        free = trainer.current_epoch >= self.epochs
        for part in encoder_parts(pl_module.net):  # type: ignore[arg-type]
            part.requires_grad_(free).train(free)
