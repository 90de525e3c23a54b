"""Give memory that was freed back to the operating system."""

from __future__ import annotations

import contextlib
import ctypes


def give_back() -> None:
    """After large tables were dropped, before something else that is large: glibc keeps freed memory where it lies between
    what is still in use, and would take new memory beside it. Elsewhere this does nothing."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
