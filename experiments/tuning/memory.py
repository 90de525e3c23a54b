"""Retry a training that runs out of memory with smaller batches and more accumulated steps."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

from experiments.hardware import current
from experiments.monitoring.failures import is_memory
from experiments.settings.common import TrainingSettings

T = TypeVar("T", bound=TrainingSettings)
R = TypeVar("R")


def halved(settings: T) -> T:
    """Half the batch and twice the accumulated steps: the optimiser sees as many images as before."""
    return settings.model_copy(
        update={"batch_size": settings.batch_size // 2, "accumulate": 2 * settings.accumulate}
    )


def with_less_memory(settings: T, attempt: Callable[[T], R], note: Callable[[T], None] = lambda _: None) -> R:
    """Return what `attempt` returns, called again with half the batch after each out-of-memory error.

    `note` is called with the settings of each halving. MemoryError when two images at a time are too many (batch normalisation
    needs two).
    """
    while True:
        try:
            return attempt(settings)
        except (MemoryError, RuntimeError) as error:
            if not is_memory(error):
                raise
            message = str(error)
        if settings.batch_size < 4:
            raise MemoryError(f"a batch of {settings.batch_size} does not fit: {message}")
        # After the except block: until there the traceback holds the tensors of the failed attempt.
        settings = halved(settings)
        note(settings)
        gc.collect()
        current().release_memory()
