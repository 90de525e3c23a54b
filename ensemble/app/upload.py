"""A file sent to the server: into a folder of its own, under a limit, without its name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request

TYPE = "application/octet-stream"
"""Not one of the types that a form on a foreign page may send without asking (Fetch standard, CORS-safelisted)."""


@dataclass(frozen=True)
class Limits:
    """What the page takes."""

    bytes: int = 64 * 2**20
    """Largest file; a flat detector of 4,300 x 3,500 pixels with 16 bits has 29 MiB."""
    files: int = 200
    """Most files at once; the page itself keeps to it, since the server sees one at a time."""


class Declined(ValueError):
    """A request that is not answered; `status` is HTTP's."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


async def receive(request: Request, path: Path, limit: int) -> None:
    """Write the request's body to a file; Declined as soon as it is known to be larger than `limit` bytes."""
    if request.headers.get("content-type") != TYPE:
        raise Declined(415, f"the file itself is awaited, as {TYPE}")
    too_large = Declined(413, f"larger than {limit / 2**20:.0f} MiB, the most that this page takes")
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit:
        raise too_large
    size = 0
    with path.open("wb") as file:
        async for piece in request.stream():
            size += len(piece)
            if size > limit:
                raise too_large
            file.write(piece)
