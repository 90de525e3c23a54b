"""Explain a training that ended for lack of memory or disk space, or because a data loader was killed, and name the fix.

Nothing is lost: the state of the last complete epoch stays in `.resume/`, since a checkpoint is renamed only once it is complete.
"""

from __future__ import annotations

import errno

import torch

# Texts of PyTorch's allocators, cuDNN and cuBLAS in a plain RuntimeError, in lower case.
_MEMORY = ("out of memory", "can't allocate memory", "alloc_failed")
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_RESUMES = "`dvc repro` then resumes after the last complete epoch"


def is_memory(error: BaseException) -> bool:
    """Whether an error says that memory was the cause, on a GPU or on the CPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _MEMORY)


def is_disk(error: BaseException) -> bool:
    """Whether a file could not be written for lack of space; safetensors and PyTorch pass on only the system's text."""
    return (isinstance(error, OSError) and error.errno in _DISK) or "No space left on device" in str(error)


def is_worker(error: BaseException) -> bool:
    """Whether a data loader process was killed from outside."""
    return isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker")


def in_words(error: BaseException, stage: str) -> str | None:
    """Cause and fix for a training of `stage`; None for any other error, which keeps its own text."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if is_memory(error):
        return (
            f"out of memory ({first}); lower {stage}.batch_size and raise {stage}.accumulate by the same factor, or lower "
            f"{stage}.image_size. This restarts training. If other programs hold the memory, end them: {_RESUMES}"
        )
    if is_disk(error):
        return f"disk full ({first}); free some space: {_RESUMES}"
    if is_worker(error):
        return (
            f"a data loader process was killed ({first}), usually for lack of memory: free some; {_RESUMES}. "
            f"Or lower {stage}.workers, which restarts training"
        )
    return None
