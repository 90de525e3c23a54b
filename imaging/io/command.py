"""Run a command module: `--help` before any work, one line for a user's mistake, clean-up on SIGTERM and SIGHUP."""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType

PACKAGES = frozenset(
    {"__main__", "imaging", "experiments", "classification", "segmentation", "ensemble", "benchmarks"}
)
TRACEBACK = "SHOW_TRACEBACK"
"""Environment variable: when set, errors keep their traceback."""


def run(main: Callable[[], None], doc: str | None = None) -> None:
    """Run `main` and exit.

    doc: the module's docstring, for a command without arguments: `--help` then prints it and anything else is refused,
    before `main` is called. None: `main` parses the command line itself.

    A ValueError raised by this project's code or an OSError (full disk, missing file, no permission) is printed as a message
    with exit status 1; one raised inside a library is a bug and keeps its traceback. SIGTERM and SIGHUP raise SystemExit, so
    that temporary files are removed; Ctrl-C ends with status 130.
    """
    for stream in (
        sys.stdout,
        sys.stderr,
    ):  # a terminal with another character set shows `?`, not a traceback
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    if doc is not None:
        parse_nothing(doc)
    handle_signals()
    try:
        main()
    except (ValueError, OSError) as error:
        if os.environ.get(TRACEBACK) or not is_users_mistake(error):
            raise
        sys.exit(message(error))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def parse_nothing(doc: str) -> None:
    """Print `doc` for `--help`; exit with status 2 on any other argument."""
    module = sys.modules["__main__"].__spec__
    name = module.name.removesuffix(".__main__") if module else sys.argv[0]
    parser = argparse.ArgumentParser(
        prog=f"python -m {name}", description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()


def place(text: str) -> Path:
    """Type of an option: a path; an empty one, such as an unset variable's, would be the working directory."""
    if not text:
        raise argparse.ArgumentTypeError("is empty; name a file or a folder")
    try:
        Path(text).resolve()
    except RuntimeError:
        raise argparse.ArgumentTypeError(f"{text}: a link that leads back to itself; name another") from None
    return Path(text)


def share(text: str) -> float:
    """Type of an option: a share from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give a number from 0 to 1")
    return value


def count(text: str) -> int:
    """Type of an option: a whole number above 0."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number above 0")
    return value


def handle_signals() -> None:
    """Let SIGTERM and SIGHUP end the main thread by SystemExit(128 + number); a second one ends the process at once.

    Signals that are ignored (nohup) stay ignored. A process of a distributed training is left to its launcher: it may wait in
    a collective operation, during which no Python handler runs.
    """
    if "RANK" in os.environ:
        return
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    sys.exit(128 + number)


def is_users_mistake(error: ValueError | OSError) -> bool:
    """Whether an error has a message for users: every OSError, and a ValueError that this project raised itself."""
    if isinstance(error, OSError):
        return True
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and str(frames[-1].f_globals.get("__name__", "")).split(".")[0] in PACKAGES


def message(error: ValueError | OSError) -> str:
    """The message without a traceback; of an OSError the file and the reason."""
    if isinstance(error, OSError) and error.strerror:
        name = error.filename if error.filename2 is None else error.filename2
        return f"{os.fsdecode(name)}: {error.strerror}" if isinstance(name, str | bytes) else error.strerror
    return str(error) or type(error).__name__
