"""Measure what one training step costs, without computing it: memory and FLOP of a network on fake tensors.

Fake tensors (torch._subclasses.fake_tensor) have shapes, data types and storage sizes but no data, so that a step at 1024² with
any batch is followed in seconds on any machine. Every storage that the step makes is counted from its birth to its release.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import FlopCounterMode

from experiments.hardware import Hardware
from experiments.networks.normalisation import normalise
from experiments.networks.precision import autocast
from experiments.settings.common import TrainingSettings

STATES = {"adam": 2, "adamw": 2, "radam": 2, "sgd": 1}
"""Numbers an optimiser keeps for each weight (Kingma 2015; SGD's momentum), in float32."""
BACKWARD = 2
"""A backward pass computes two products (gradients of weights and of inputs) where the forward pass computes one. It is not
counted itself: PyTorch's counter takes a grouped convolution's backward pass for one without groups."""

Loss = Callable[[Any, dict[str, Tensor]], Tensor]


@dataclass(frozen=True)
class StepCost:
    """One training step of one process."""

    parameters: int
    """Number of weights, trained or not."""
    fixed: int
    """Bytes that do not depend on the batch: weights, gradients, the optimiser's states, the moving average."""
    peak: int
    """Bytes at the highest point of the step, `fixed` included."""
    flop: int
    """Floating-point operations, forward and backward; a multiplication and an addition are two."""


class _LiveBytes(TorchDispatchMode):
    """Follows the storages that operations make, and remembers the highest sum of those alive."""

    def __init__(self) -> None:
        super().__init__()
        self.live, self.peak = 0, 0
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.add(result)
        return result

    def add(self, tree: Any) -> None:
        """Count the storages of all tensors in a tree that have not been counted yet."""
        for value in tree_iter(tree):
            if not isinstance(value, Tensor):
                continue
            storage = value.untyped_storage()
            if storage in self._known:
                continue
            self._known.add(storage)
            self.live += storage.nbytes()
            weakref.finalize(storage, self._release, storage.nbytes())
        self.peak = max(self.peak, self.live)

    def _release(self, size: int) -> None:
        self.live -= size


def step_cost(
    net: nn.Module, loss: Loss, settings: TrainingSettings, precision: str, hardware: Hardware, batch: int
) -> StepCost:
    """Cost of a step of `batch` images of settings.image_size through `net` and `loss`; net's weights become fake.

    The highest point is that of a later step: the optimiser's states and, where there is one, the moving average are there.
    Not counted are what libraries take for themselves: workspaces of convolutions and the allocator's rounding; see `reserve`.
    """
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    make_fake(net, mode)
    live, flops = _LiveBytes(), FlopCounterMode(display=False)
    size = settings.image_size
    with mode:
        given = {
            "image": torch.zeros((batch, 1, size, size), dtype=torch.uint8),
            "mask": torch.zeros((batch, 1, size, size), dtype=torch.uint8),
            "label": torch.zeros(batch),
        }
        live.add(given)
        with live:
            image = normalise(given["image"], net).contiguous(memory_format=torch.channels_last)
            with flops, autocast(precision, hardware):
                value = loss(net.train()(image), given)
            del image
            value.backward()
    parameters = list(net.parameters())
    weights = sum(p.numel() * p.element_size() for p in parameters)
    trained = sum(p.numel() * p.element_size() for p in parameters if p.requires_grad)
    buffers = sum(b.numel() * b.element_size() for b in net.buffers())
    states = STATES[settings.optimiser] * trained
    average = weights + buffers if settings.ema is not None else 0
    kept = weights + buffers + states + average
    # After the step only the gradients stay; the step itself may have ended above that.
    return StepCost(
        sum(p.numel() for p in parameters),
        kept + trained,
        kept + max(live.peak, trained),
        (1 + BACKWARD) * flops.get_total_flops(),
    )


def make_fake(net: nn.Module, mode: FakeTensorMode) -> None:
    """Replace a network's weights and buffers by fake tensors of the same shapes, in channels-last order."""
    net.to(memory_format=torch.channels_last)
    for module in net.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                fake = mode.from_tensor(parameter.detach())
                module._parameters[name] = nn.Parameter(fake, requires_grad=parameter.requires_grad)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = mode.from_tensor(buffer)
