"""A file sent to the server: stored in its own folder, under limits, without its name; and what killed servers left."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from starlette.requests import Request

TYPE = "application/octet-stream"
"""Not one of the types that a form on another site may send without a preflight request (Fetch standard, CORS-safelisted)."""
PREFIX = "pneumothorax-"
LOCK = "lock"
SECONDS = 120.0
"""Longest time that an upload may take."""


@dataclass(frozen=True)
class Limits:
    """What the page accepts."""

    bytes: int = 64 * 2**20
    """Largest file; a flat detector of 4,300 x 3,500 pixels with 16 bits has 29 MiB."""
    files: int = 200
    """Most files at once; the page itself keeps to it, since the server sees one at a time."""


class Declined(ValueError):
    """A refused request; `status` is HTTP's, `code` a refusal code, `log` what the server notes of it."""

    def __init__(self, status: int, reason: str, code: str = "", log: str = "") -> None:
        super().__init__(reason)
        self.status, self.code, self.log = status, code, log


async def receive(request: Request, path: Path, limit: int) -> None:
    """Write the request's body to a file; Declined as soon as it is known to be larger than `limit` bytes, or takes too long."""
    if request.headers.get("content-type") != TYPE:
        raise Declined(415, f"send the file itself, as {TYPE}")
    too_large = Declined(413, f"larger than {limit / 2**20:.0f} MiB, the limit of this page")
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit:
        raise too_large
    size = 0
    try:
        async with asyncio.timeout(SECONDS):
            with path.open("wb") as file:
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > limit:
                        raise too_large
                    file.write(chunk)
    except TimeoutError:
        raise Declined(408, f"the upload took longer than {SECONDS:.0f} seconds") from None


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """This server's folder for uploads, locked while it runs and removed at its end; those of killed servers go first."""
    sweep(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        with FileLock(folder / LOCK):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Remove the temporary folders of servers that were killed: their lock is free."""
    for lock in parent.glob(f"{PREFIX}*/{LOCK}"):
        if lock.parent.is_symlink():
            continue
        with contextlib.suppress(Timeout, OSError), FileLock(lock, timeout=0):
            shutil.rmtree(lock.parent, ignore_errors=True)
