"""Optimisers, learning-rate schedules, the moving average of the weights and the frozen encoder."""

from __future__ import annotations

import math
from typing import Any

import lightning.pytorch as pl
import timm
import torch
from lightning.pytorch.callbacks import Callback, WeightAveraging
from segmentation_models_pytorch.encoders.timm_universal import TimmUniversalEncoder
from timm.models._manipulate import group_parameters
from timm.optim import param_groups_weight_decay
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from experiments.hardware import Hardware, current
from experiments.networks.precision import choose_precision
from experiments.networks.state_dicts import classifier_of, plain
from experiments.settings.common import TrainingSettings


def make_optimiser(
    net: nn.Module, settings: TrainingSettings, hardware: Hardware | None = None
) -> torch.optim.Optimizer:
    """The optimiser named in the settings; biases and normalisation layers are not decayed.

    On a GPU it is the fused one, except for fp16: there a fused optimiser unscales gradients itself, after the clipping that
    needs them unscaled.
    """
    groups = _groups(net, settings)
    hardware = hardware or current()
    fused = hardware.kind == "cuda" and choose_precision(settings.precision, hardware) != "16-mixed"
    extra = {"fused": True} if fused and settings.optimiser != "radam" else {}  # RAdam has no fused form
    if settings.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=settings.lr, momentum=0.9, **extra)
    kinds: dict[str, Any] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "radam": torch.optim.RAdam}
    return kinds[settings.optimiser](groups, lr=settings.lr, **extra)


def _groups(net: nn.Module, settings: TrainingSettings) -> list[dict[str, Any]]:
    """Parameter groups: biases and normalisation layers without weight decay, deeper layers of an encoder at higher rates."""
    if settings.encoder_rate < 1:
        return _two_rates(net, settings)
    if settings.layer_decay == 1:
        groups: list[dict[str, Any]] = param_groups_weight_decay(net, weight_decay=settings.weight_decay)
        return groups
    layers = layer_numbers(net)
    last = max(layers.values()) + 1
    found: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            layer, decayed = layers.get(name, last), parameter.ndim > 1
            rate = settings.lr * settings.layer_decay ** (last - layer)
            fresh = {"params": [], "lr": rate, "weight_decay": settings.weight_decay if decayed else 0.0}
            found.setdefault((layer, decayed), fresh)["params"].append(parameter)
    return list(found.values())


def _two_rates(net: nn.Module, settings: TrainingSettings) -> list[dict[str, Any]]:
    """Parameter groups with the encoder's at `encoder_rate` times the rate of the others."""
    inside = {id(one) for part in encoder_parts(net) for one in part.parameters()}
    found: dict[tuple[bool, bool], dict[str, Any]] = {}
    for one in net.parameters():
        if one.requires_grad:
            slow, decayed = id(one) in inside, one.ndim > 1
            rate = settings.lr * (settings.encoder_rate if slow else 1.0)
            fresh = {"params": [], "lr": rate, "weight_decay": settings.weight_decay if decayed else 0.0}
            found.setdefault((slow, decayed), fresh)["params"].append(one)
    return list(found.values())


def layer_numbers(net: nn.Module) -> dict[str, int]:
    """Number of the layer of each parameter of a timm encoder within `net`, from the stem on; other parameters have none."""
    for prefix, module in net.named_modules():
        whole: Any = module if hasattr(module, "group_matcher") else _whole(module)
        if whole is None:
            continue
        groups = group_parameters(whole, whole.group_matcher(coarse=False), reverse=True)
        numbers = {plain(name): number for name, number in groups.items()}
        heads = {id(one) for one in classifier_of(module).parameters()}
        return {
            f"{prefix}.{name}".lstrip("."): numbers[plain(name)]
            for name, one in module.named_parameters()
            if plain(name) in numbers and id(one) not in heads
        }
    raise ValueError(
        "layer_decay: the network has no timm encoder; set it to 1, or use an encoder `tu-<timm name>`"
    )


def _whole(module: nn.Module) -> Any:
    """The whole network behind smp's wrapper of a timm encoder, which timm cuts at its stages; on the meta device."""
    if not isinstance(module, TimmUniversalEncoder):
        return None
    with torch.device("meta"):
        return timm.create_model(module.name)


def averaging(settings: TrainingSettings, device: torch.device | None = None) -> list[WeightAveraging]:
    """Lightning's callback with the decay of the settings, or none. It validates with, and leaves, the average.

    device: where the average is kept. Lightning's default is the module's device when the callback is set up, which is
    before the module moves to the GPU.

    The decay of update n is min(ema, (1 + n) / (10 + n)), as in TensorFlow's ExponentialMovingAverage: a short training would
    otherwise end as a mean of its random start.
    """
    if settings.ema is None:
        return []
    most = settings.ema

    def average(old: list[Tensor], new: list[Tensor], number: Tensor | int) -> None:
        """Update tensors of one dtype in place; counters (of batches) are copied."""
        decay = min(most, (1 + int(number)) / (10 + int(number)))
        if old[0].is_floating_point():
            torch._foreach_lerp_(old, new, 1 - decay)
        else:
            torch._foreach_copy_(old, new)

    return [WeightAveraging(device=device, multi_avg_fn=average)]


def frozen(settings: TrainingSettings) -> list[Callback]:
    """The callback that the settings ask for, or none."""
    return [FreezeEncoder(settings.freeze_encoder)] if settings.freeze_encoder else []


def encoder_parts(net: nn.Module) -> list[nn.Module]:
    """The frozen part: `net.encoder`, or all parts of a timm classifier except the one with its last layer."""
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
        """A function of the epoch alone, so that a resumed run equals one that was not killed."""
        free = trainer.current_epoch >= self.epochs
        for part in encoder_parts(pl_module.net):  # type: ignore[arg-type]
            part.requires_grad_(free).train(free)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Release the encoder: the next phase's optimiser would leave it out, and its statistics would stay fixed."""
        for part in encoder_parts(pl_module.net):  # type: ignore[arg-type]
            part.requires_grad_(True).train()


def rate(settings: TrainingSettings, step: int, steps: int) -> float:
    """Learning rate at `step` of `steps`: linear warm-up over their share `warmup`, then from lr down to lr_end."""
    rise = settings.warmup * steps
    if step < rise:
        return settings.lr * (step + 1) / (rise + 1)
    done = min(1.0, (step - rise) / max(1.0, steps - rise))
    return settings.lr_end + (settings.lr - settings.lr_end) * _shape(settings, done)


def _shape(settings: TrainingSettings, done: float) -> float:
    """1 at the start, 0 at the end of each cycle, or of each odd one of a wave; `done`: share of the steps after the warm-up."""
    if settings.schedule == "poly":
        return (1 - done) ** 0.9  # the exponent of DeepLab and of mmsegmentation's schedules
    if settings.schedule == "cosine_wave":
        return 0.5 * (1 + math.cos(math.pi * done * settings.cycles))
    if settings.schedule == "cosine":
        within = done * settings.cycles % 1 if done < 1 else 1.0
        return 0.5 * (1 + math.cos(math.pi * within))
    return 1.0


def make_schedule(optimiser: Optimizer, settings: TrainingSettings, steps: int) -> dict[str, Any]:
    """Lightning's configuration of the schedule: a function of the step, or a plateau.

    After more than `lr_patience` validations without a better score a plateau lowers the rate to a tenth, not below lr_end.
    """
    if settings.schedule == "plateau":
        plateau = ReduceLROnPlateau(
            optimiser, mode="max", factor=0.1, patience=settings.lr_patience, min_lr=settings.lr_end
        )
        # Lightning would take its step after the epoch's checkpoint, which a resumed run then misses: see `report_score`
        return {"scheduler": plateau, "monitor": "val/score", "frequency": settings.epochs + 1}
    factor = LambdaLR(optimiser, lambda step: rate(settings, step, steps) / settings.lr)
    return {"scheduler": factor, "interval": "step"}


def report_score(schedule: Any, score: float) -> None:
    """Pass the validation score of an epoch to a plateau schedule; others ignore it."""
    if isinstance(schedule, ReduceLROnPlateau):
        schedule.step(score)
