"""Worker process of the page: reads one request's file and writes its answer, apart from the server.

A file that crashes its decoder, or takes too much time or memory, ends this process and no other. It holds no networks: the
server runs them on the square that `open` returns, whose size is fixed. What goes back to the server is JSON and bytes;
nothing is unpickled there.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ensemble.app import study
from ensemble.app.upload import Declined
from ensemble.decision.decision import Decision
from imaging.decoding.radiograph import Facts, RefusedFile, to_uint8
from imaging.dicom_objects.reference import Author
from imaging.domain.limits import Domain
from imaging.formats import reader
from imaging.resize import resize_image

Reply = tuple[dict[str, Any], bytes]


@dataclass(frozen=True)
class Config:
    """What a worker needs of the bundle."""

    decision: Decision
    author: Author
    objects: str
    """Why this bundle writes no DICOM objects; empty where it does."""
    domain: Domain = field(default_factory=Domain)
    """Limits that studies are checked against."""


def serve(pipe: Connection, config: Config, memory: int, seconds: int) -> None:
    """Answer requests, each a JSON header and bytes, until the pipe is closed. Limits: bytes of memory, seconds of CPU time."""
    _limit(memory, seconds)
    cv2.setNumThreads(1)
    logging.disable()
    worker = Worker(config)
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            header, body = json.loads(pipe.recv_bytes()), pipe.recv_bytes()
            reply, data = answered(worker, header, body)
            pipe.send_bytes(json.dumps(reply).encode())
            pipe.send_bytes(data)


class Worker:
    """The answers to one request's steps."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.path = Path()
        self.facts = Facts(1, 1)
        self.turns = 0

    def open(self, header: dict[str, Any], _: bytes) -> bytes:
        """Read the file at `path`; returns the square uint8 (`side`, `side`) that the networks take, upright unless `stored`."""
        self.path = Path(header["path"])
        found = reader.read(self.path, header["side"])
        self.turns = 0 if header.get("stored") else self.config.domain.turns(found.facts)
        square = np.rot90(resize_image(to_uint8(found.pixels), header["side"]), self.turns)
        self.facts = self.config.domain.warned(square, found.facts)
        return square.tobytes()

    def study(self, header: dict[str, Any], body: bytes) -> bytes:
        """All that the page displays of the open file, from the networks' outputs."""
        outputs = study.Outputs.unpack(header, body).turned(-self.turns)
        config = self.config
        return _json(
            study.read(config.decision, self.path, self.facts, outputs, config.objects, config.author.warning)
        )

    def segmentation(self, header: dict[str, Any], body: bytes) -> bytes:
        """The open file's mask at `level` as a DICOM Segmentation."""
        if self.config.objects:
            raise Declined(422, self.config.objects)
        outputs = study.Outputs.unpack(header, body).turned(-self.turns)
        config = self.config
        return study.segmentation(
            config.decision, config.author, self.path, self.facts, outputs, header["level"]
        )

    def cut(self, header: dict[str, Any], _: bytes) -> bytes:
        """The finding in the map at `path`, cut at `level`."""
        found = study.cut(self.config.decision, Path(header["path"]), header["level"], header["geometry"])
        return _json(found)


def answered(worker: Worker, header: dict[str, Any], body: bytes) -> Reply:
    """The reply to one step. Messages never carry a path, a name or a value of the header."""
    steps: dict[str, Callable[[dict[str, Any], bytes], bytes]] = {
        "open": worker.open, "study": worker.study, "segmentation": worker.segmentation, "cut": worker.cut,
    }  # fmt: skip
    try:
        return {"status": 200}, steps[header["step"]](header, body)
    except RefusedFile as refusal:
        return {"status": 422, "code": refusal.code, "reason": refusal.reason}, b""
    except Declined as declined:
        return {"status": declined.status, "reason": str(declined)}, b""
    except (MemoryError, cv2.error) as error:
        if isinstance(error, cv2.error) and error.code != cv2.Error.StsNoMem:
            return _failed(error), b""
        return {"status": 422, "code": "LIMIT-MEMORY", "reason": "reading it takes too much memory"}, b""
    except Exception as error:
        return _failed(error), b""


def _failed(error: Exception) -> dict[str, Any]:
    """The reply to a bug: where it is, without its message, which could quote the file."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    kind = type(error).__name__
    return {
        "status": 500,
        "reason": f"the program failed on this file ({kind})",
        "log": f"{kind} in {Path(place.filename).name}, line {place.lineno}",
    }


def _json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def _limit(memory: int, seconds: int) -> None:
    """Limits of this process and of the decoders that it starts; its own session, so that all of them can be killed at once."""
    with contextlib.suppress(ImportError, AttributeError, ValueError, OSError):  # no such limits on Windows
        import resource

        os.setsid()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold a patient's picture
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def square(data: bytes, side: int) -> np.ndarray[Any, Any]:
    """What `open` returned, as an array uint8 (side, side)."""
    return np.frombuffer(data, np.uint8).reshape(side, side)
