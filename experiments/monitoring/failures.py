"""Training that ends for want of memory, disk or a worker: what was the cause, in words that name the mend.

Nothing is lost by any of them: the state of the last whole epoch stays in `.resume/`, since a checkpoint takes its name only when
all of it is on the disk.
"""

from __future__ import annotations

import errno

import torch

# What PyTorch's allocators, cuDNN and cuBLAS say in a plain RuntimeError, in lower case.
_MEMORY = ("out of memory", "can't allocate memory", "alloc_failed")
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_GOES_ON = "`dvc repro` then goes on after the last whole epoch"


def is_memory(error: BaseException) -> bool:
    """Whether an error says that memory was the cause, on a GPU or on the CPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _MEMORY)


def is_disk(error: BaseException) -> bool:
    """Whether a file could not be written for want of room; safetensors and PyTorch pass on the system's words alone."""
    return (isinstance(error, OSError) and error.errno in _DISK) or "No space left on device" in str(error)


def is_worker(error: BaseException) -> bool:
    """Whether a process that loads data was ended from outside."""
    return isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker")


def in_words(error: BaseException, stage: str) -> str | None:
    """What happened and the mend, for a training of `stage`; None for any other error, which is told as it is."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if is_memory(error):
        return (
            f"memory does not suffice ({first}); lower {stage}.batch_size and raise {stage}.accumulate as much, or lower "
            f"{stage}.image_size. These make it another training, which begins anew; where other programs took the memory, end "
            f"them: {_GOES_ON}"
        )
    if is_disk(error):
        return f"the disk is full ({first}); free some room: {_GOES_ON}"
    if is_worker(error):
        return (
            f"a process that loads data was ended from outside ({first}), mostly for want of memory: free some; "
            f"{_GOES_ON}. Or lower {stage}.workers, which begins anew"
        )
    return None
