"""Limit the pixels that all threads decode at the same time, and with them the memory of many large pictures at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from imaging.decoding.radiograph import MAX_SIDE

_CAPACITY = MAX_SIDE**2
"""Pixels: one picture of the largest size, or some thirty radiographs of 4 megapixels."""
_free = threading.Condition()
_held = 0


@contextmanager
def hold(pixels: int) -> Iterator[None]:
    """Wait until `pixels` fit into what all threads may decode at once, then count them in; never nested in one thread.

    A picture larger than the whole capacity is decoded alone.
    """
    global _held
    with _free:
        _free.wait_for(lambda: _held == 0 or _held + pixels <= _CAPACITY)
        _held += pixels
    try:
        yield
    finally:
        with _free:
            _held -= pixels
            _free.notify_all()
