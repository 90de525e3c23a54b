"""Choose the batch that fits into a card's memory: the largest part of the recipe's batch, and accumulation for the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from experiments.plan.cost import StepCost

RUNTIME = 0.75 * 2**30
"""Bytes that CUDA, cuDNN and the process take before the first tensor: an allowance, not measured on each card."""
FRAGMENTATION = 0.08
"""Share of the tensors' bytes lost to rounding, gaps and workspaces of convolutions: an allowance likewise."""
LEAST = 2
"""Images of the smallest batch tried: batch normalisation of one image has no spread over images."""


@dataclass(frozen=True)
class Fit:
    """How a training step is divided on a card."""

    batch: int
    """Images of one forward and backward pass."""
    accumulate: int
    """Passes whose gradients are added before an optimiser step; batch x accumulate is the recipe's batch."""
    bytes: int
    """Memory needed, allowances included."""
    fits: bool
    """False: even the smallest batch does not fit; `batch` is that one."""


def needed(cost: StepCost, resident: int = 0) -> int:
    """Bytes of a card's memory that a step needs, allowances included; resident: of prepared images that are kept there."""
    return int(cost.peak * (1 + FRAGMENTATION) + RUNTIME) + resident


def divisors(batch: int) -> list[int]:
    """Batches that divide `batch` evenly, largest first, down to LEAST (or 1 where `batch` is smaller)."""
    return [b for b in range(batch, min(batch, LEAST) - 1, -1) if batch % b == 0] or [batch]


def fit_batch(
    cost: Callable[[int], StepCost], batch: int, accumulate: int, memory: int, resident: int = 0
) -> Fit:
    """The largest divisor of `batch` that fits into `memory` bytes; the gradient of the recipe's whole step stays the same.

    Batch normalisation alone sees the smaller batch. cost: of a step, by its number of images.
    """
    for part in divisors(batch):
        need = needed(cost(part), resident)
        if need <= memory:
            return Fit(part, accumulate * (batch // part), need, True)
    return Fit(part, accumulate * (batch // part), need, False)
