"""Batch normalisation over the images of all processes, so that a batch means the same however many compute it."""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from timm.layers import convert_sync_batchnorm
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm


def over_all_processes(net: nn.Module) -> nn.Module:
    """The same network, with the same names of its weights, whose batch statistics are those of all processes' images.

    On GPUs PyTorch's SyncBatchNorm, put in by timm, since PyTorch's own converter loses the activation that timm's layers
    hold. PyTorch has none for the CPU: there the layers get `_forward`.
    """
    norms = [module for module in net.modules() if isinstance(module, _BatchNorm)]
    if any(isinstance(norm, nn.SyncBatchNorm) for norm in norms):  # of an earlier phase
        return net
    if torch.cuda.is_available():
        return convert_sync_batchnorm(net)
    for norm in norms:
        norm.forward = MethodType(_forward, norm)  # type: ignore[method-assign]
    return net


class _Sum(torch.autograd.Function):
    """The sum over all processes; each one's gradient is the sum of all of theirs."""

    @staticmethod
    def forward(context: Any, part: Tensor) -> Tensor:
        return _summed(part)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return _summed(gradient)


def _summed(part: Tensor) -> Tensor:
    whole = part.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(whole)
    return whole


def _forward(norm: Any, batch: Tensor) -> Tensor:
    """What the layer gives in a process with a part of the batch (b, C, …): Ioffe 2015 over all parts."""
    if not norm.training:
        return type(norm).forward(norm, batch)
    axes = [0, *range(2, batch.ndim)]
    shape = [1, -1] + [1] * (batch.ndim - 2)
    part = batch.float()
    pixels = _summed(torch.tensor(float(part.numel() // part.shape[1])))
    mean = _Sum.apply(part.sum(axes)) / pixels
    centred = part - mean.view(shape)
    variance = _Sum.apply(centred.square().sum(axes)) / pixels
    _remember(norm, mean.detach(), variance.detach() * pixels / (pixels - 1))
    scaled = centred * torch.rsqrt(variance + norm.eps).view(shape)
    if norm.affine:
        scaled = scaled * norm.weight.view(shape) + norm.bias.view(shape)
    after = [getattr(norm, name, nn.Identity()) for name in ("drop", "act")]  # of timm's BatchNormAct2d
    return after[1](after[0](scaled.to(batch.dtype)))


def _remember(norm: Any, mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics, in place, as BatchNorm does."""
    if not norm.track_running_stats:
        return
    norm.num_batches_tracked += 1
    share = 1 / int(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, share)
    norm.running_var.lerp_(variance, share)
