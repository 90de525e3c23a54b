"""Run native decoders in a sandboxed subprocess, one per thread, with limits of time and memory.

A picture that crashes or hangs its decoder is refused like any other damaged one, and the run goes on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.decoding import pipe
from imaging.decoding.radiograph import RefusedFile

WORKER = "imaging.decoding.worker"
ROOT = str(Path(__file__).resolve().parents[2])
SECONDS = 60.0
"""A JPEG 2000 picture of 12 megapixels takes about two seconds on one slow core."""

_of_thread = threading.local()


class Child:
    """One decoder process; ends with the thread that owns it, or with the program."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            # -P: names in the working directory must not shadow libraries
            [sys.executable, "-P", "-m", WORKER],
            env={**os.environ, "PYTHONPATH": ROOT},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # libraries print their own warnings there
        )

    def ask(
        self, header: dict[str, Any], frame: bytes, seconds: float
    ) -> tuple[dict[str, Any], bytes] | None:
        """The response; None when the process has crashed. TimeoutError, and the process is killed, when it takes too long."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        late = threading.Event()

        def stop() -> None:
            late.set()
            self.process.kill()

        watch = threading.Timer(seconds, stop)
        watch.start()
        try:
            pipe.send(self.process.stdin, header, frame)
            answer = pipe.receive(self.process.stdout)
        except BrokenPipeError:
            answer = None
        finally:
            watch.cancel()
        if answer is None and late.is_set():
            raise TimeoutError
        return answer

    def close(self) -> None:
        """End the process and its pipes."""
        self.process.kill()
        self.process.communicate()

    def __del__(self) -> None:
        self.close()


def decode(
    frame: bytes, syntax: str, plugins: Sequence[str], options: dict[str, Any], seconds: float = SECONDS
) -> NDArray[Any]:
    """As `imaging.decoding.worker.decode`, in a subprocess; RefusedFile when it fails, crashes or exceeds `seconds`."""
    return _ask({"syntax": syntax, "plugins": list(plugins), "options": options}, frame, seconds)[0]


def picture(data: bytes, seconds: float = SECONDS) -> tuple[NDArray[Any], tuple[str, ...]]:
    """As `imaging.decoding.pillow.page`, in another process, with the same RefusedFile."""
    pixels, header = _ask({"picture": True}, data, seconds)
    return pixels, tuple(header["notes"])


def _ask(request: dict[str, Any], data: bytes, seconds: float) -> tuple[NDArray[Any], dict[str, Any]]:
    child = getattr(_of_thread, "child", None) or Child()
    _of_thread.child = child
    try:
        answer, why = child.ask(request, data, seconds), ("DECODER-CRASHED", "the decoder crashed on it")
    except TimeoutError:
        answer, why = None, ("DECODER-TIMEOUT", f"the decoder was stopped after {seconds:.0f} seconds")
    if answer is None:  # waits for its end: a process that is ending must not get the next file
        child.close()
        _of_thread.child = None
        raise RefusedFile(*why)
    header, body = answer
    if "error" in header:
        raise RefusedFile(header["code"], header["error"])
    return np.frombuffer(bytearray(body), header["dtype"]).reshape(header["shape"]), header
