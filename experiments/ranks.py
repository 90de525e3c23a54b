"""Which of a distributed training's processes this one is: torchrun's RANK, LOCAL_RANK and WORLD_SIZE."""

from __future__ import annotations

import os


def rank() -> int:
    """This process' number among those that train together; 0 when it is alone."""
    return int(os.environ.get("RANK", 0))


def count() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", 1)) if "RANK" in os.environ else 1


def here() -> int:
    """How many of them are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if "RANK" in os.environ else 1


def first() -> bool:
    """Whether this process is the one that writes files and logs."""
    return rank() == 0
