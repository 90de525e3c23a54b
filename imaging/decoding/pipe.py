"""Messages between the sandbox and its worker: a line of JSON, then the bytes that it announces. Nothing is unpickled."""

from __future__ import annotations

import json
from typing import IO, Any


def send(sink: IO[bytes], header: dict[str, Any], body: bytes | memoryview) -> None:
    """Write a line of JSON and the bytes it announces."""
    sink.write(json.dumps({**header, "bytes": len(body)}).encode() + b"\n")
    sink.write(body)
    sink.flush()


def receive(source: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """Read what `send` wrote; None at the end of the stream, or where it was cut off."""
    line = source.readline()
    if not line.endswith(b"\n"):
        return None
    header = json.loads(line)
    body = source.read(header["bytes"])
    return (header, body) if len(body) == header["bytes"] else None
