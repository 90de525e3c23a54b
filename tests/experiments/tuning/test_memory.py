"""Out of memory: the batch is halved until it fits, and the optimiser's step stays as large."""

from __future__ import annotations

import pytest
import torch

from experiments.monitoring.failures import is_memory
from experiments.settings.training import ClassificationSettings
from experiments.tuning.memory import with_less_memory


def room_for(images: int, error: Exception) -> tuple[list[tuple[int, int]], object]:
    """A training that fits `images` a batch, and notes what it was asked."""
    asked: list[tuple[int, int]] = []

    def attempt(settings: ClassificationSettings) -> str:
        asked.append((settings.batch_size, settings.accumulate))
        if settings.batch_size > images:
            raise error
        return "trained"

    return asked, attempt


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        MemoryError("Unable to allocate 9 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_the_batch_is_halved_and_the_steps_doubled_until_it_fits(error: Exception) -> None:
    asked, attempt = room_for(4, error)
    settings = ClassificationSettings(models=["c"], batch_size=16, accumulate=2)
    assert with_less_memory(settings, attempt) == "trained"
    assert asked == [(16, 2), (8, 4), (4, 8)]


def test_two_images_that_do_not_fit_are_an_error_with_the_cause() -> None:
    asked, attempt = room_for(1, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(MemoryError, match="a batch of 2 does not fit: CUDA out of memory"):
        with_less_memory(ClassificationSettings(models=["c"], batch_size=5), attempt)
    assert [batch for batch, _ in asked] == [5, 2]


def test_other_errors_are_not_touched() -> None:
    asked, attempt = room_for(0, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1"):
        with_less_memory(ClassificationSettings(models=["c"]), attempt)
    assert len(asked) == 1
    assert not is_memory(ValueError("out of memory"))
