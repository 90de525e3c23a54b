"""Signals to programs that tests start."""

from __future__ import annotations

import signal


def heed() -> None:
    """For `preexec_fn`: undo what a shell in the background or nohup makes a program inherit, that it ignores these signals."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
