"""The dataset card: what the prepared data is, in one page with figures."""

from __future__ import annotations

from typing import Any


def write(*_: Any) -> None:
    """Placeholder."""
