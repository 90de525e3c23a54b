"""Rank and world size of this process in a distributed training: torchrun's RANK, LOCAL_RANK and WORLD_SIZE."""

from __future__ import annotations

import os


def rank() -> int:
    """Rank of this process; 0 without distributed training."""
    return int(os.environ.get("RANK", 0))


def count() -> int:
    """Number of processes that train together (world size)."""
    return int(os.environ.get("WORLD_SIZE", 1)) if "RANK" in os.environ else 1


def here() -> int:
    """Number of these processes on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if "RANK" in os.environ else 1


def first() -> bool:
    """Whether this process is the one that writes files and logs."""
    return rank() == 0
