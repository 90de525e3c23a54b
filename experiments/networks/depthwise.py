"""Compute depthwise convolutions in float32 during bf16 training on a CPU, where that is several times as fast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d
from torch.overrides import TorchFunctionMode


class DepthwiseInFloat32(TorchFunctionMode):
    """Context in which depthwise convolutions under CPU autocast compute in float32 if strided or larger than 3 x 3.

    oneDNN has no fast bf16 gradient of them: forward and backward of 16 images of 96 channels at 129², stride 2, take 215 ms in
    bf16 and 68 ms in float32 on two cores of an EPYC with avx512_bf16; `python -m benchmarks.training_loop` measures a whole
    network. The result has the type of the input, so that what follows stays in bf16. Without gradients nothing is changed.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Called for every function of torch."""
        given = kwargs or {}
        if func is not conv2d or not torch.is_autocast_enabled("cpu") or not _slow(*args, **given):
            return func(*args, **given)
        with torch.autocast("cpu", enabled=False):
            image: Tensor = args[0] if args else given["input"]
            found = func(*map(_float, args), **{name: _float(value) for name, value in given.items()})
        return found.to(image.dtype)


def _float(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) else value


def _slow(
    input: Tensor,  # conv2d's own names: callers may give them by keyword
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, ...] = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> bool:
    """Whether a convolution's gradient is slow in bf16."""
    strided = (stride if isinstance(stride, int) else max(stride)) > 1
    depthwise = groups > 1 and groups == weight.shape[0]
    return torch.is_grad_enabled() and depthwise and (strided or max(weight.shape[2:]) > 3)
