"""The web page under attack: good uploads beside slow files. `python -m benchmarks.page_under_load [--bundle DIR]`

Starts the page on a free port of this machine, sends 50 good uploads at once, first with nothing else, then with five slow
files in flight all the time: each is sent again as soon as it is answered. Goal: the slowest good upload takes at most twice as
long.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from ensemble.inference.bundle import PATH
from tests.ensemble.app.bombs import checkerboard, large_png, progressive_jpeg

GOOD, SECONDS = 50, 600
PLAIN = quote('{"spacing_mm": null, "view": null, "orientation": []}')


def main() -> None:
    """Print both times."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bundle", type=Path, default=Path(PATH))
    bombs = [
        ("api/study", large_png(12_000, 16)),
        ("api/study", large_png(12_000, 8)),
        ("api/study", progressive_jpeg()),
        ("api/study", bytes(60 * 2**20)),
        (f"api/cut?level=128&geometry={PLAIN}", checkerboard()),
    ]
    with serving(parser.parse_args().bundle) as port:
        good = request(port, "api/examples/0")[1]
        request(port, "api/study", good)
        quiet = together(port, good)
        with in_flight(port, bombs) as statuses:
            beside = together(port, good)
    for name, times in (("quiet", quiet), ("beside five slow files", beside)):
        print(
            f"{name}: {GOOD} good uploads at once, median {statistics.median(times):.1f} s, slowest {max(times):.1f} s"
        )
    print(
        f"ratio of the slowest {max(beside) / max(quiet):.2f}; slow files answered meanwhile {dict(statuses)}"
    )
    sys.exit(max(beside) > 2 * max(quiet))


def together(port: int, body: bytes) -> list[float]:
    """Seconds of each of the good uploads."""

    def one(_: int) -> float:
        start = time.perf_counter()
        status = request(port, "api/study", body)[0]
        assert status == 200, status
        return time.perf_counter() - start

    with ThreadPoolExecutor(GOOD) as visitors:
        return list(visitors.map(one, range(GOOD)))


@contextmanager
def in_flight(port: int, bombs: list[tuple[str, bytes]]) -> Iterator[Counter[int]]:
    """Keep every slow file in flight; yields the statuses of those that were answered."""
    statuses: Counter[int] = Counter()
    ended = threading.Event()

    def again_and_again(path: str, body: bytes) -> None:
        while not ended.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                statuses[request(port, path, body)[0]] += 1

    senders: list[Callable[[], None]] = [
        lambda path=path, body=body: again_and_again(path, body)  # type: ignore[misc]
        for path, body in bombs
    ]
    threads = [threading.Thread(target=sender, daemon=True) for sender in senders]
    for thread in threads:
        thread.start()
    time.sleep(1)
    try:
        yield statuses
    finally:
        ended.set()


def request(port: int, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    headers = {"Content-Type": "application/octet-stream"}
    connection.request("GET" if body is None else "POST", f"/{path}", body, headers)
    response = connection.getresponse()
    return response.status, response.read()


@contextmanager
def serving(bundle: Path) -> Iterator[int]:
    """The page's port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "ensemble.app", "--bundle", str(bundle), "--port", str(port)]
        server = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": folder},
        )
        try:
            for _ in itertools.takewhile(lambda _: server.poll() is None, range(1200)):
                try:
                    request(port, "")
                    break
                except OSError:
                    time.sleep(0.1)
            yield port
        finally:
            server.terminate()
            server.wait(20)


if __name__ == "__main__":
    main()
