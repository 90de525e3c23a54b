"""A real PostgreSQL from Debian's packages, for one test module; a skip where it is not installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PASSWORD = "only-for-this-test"


def programs() -> Path:
    """Debian's folder of PostgreSQL's server programs, or a skip."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL server here: apt-get install postgresql")
    return found[-1].parent


def as_server(*command: str | Path) -> None:
    """Run as the user postgres where this is root, whom the server refuses."""
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    done = subprocess.run([*prefix, *map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def free_port() -> int:
    """A port on the loopback address that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def running() -> Iterator[str]:
    """The URL, with its password, of a server on the loopback address."""
    bin_folder = programs()
    folder = Path("/tmp") / f"test-postgresql-{os.getpid()}"  # pytest's own folders are closed to other users
    folder.mkdir()
    secret = folder / "secret"
    secret.write_text(PASSWORD)
    if os.geteuid() == 0:
        for path in (folder, secret):
            shutil.chown(path, "postgres")
    port = free_port()
    data = folder / "data"
    options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off"
    try:
        as_server(
            bin_folder / "initdb", "-D", data, "-U", "me", "--auth=scram-sha-256", f"--pwfile={secret}", "-N"
        )
        as_server(bin_folder / "pg_ctl", "-D", data, "-o", options, "-l", folder / "log", "-w", "start")
        try:
            yield f"postgresql://me:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            as_server(bin_folder / "pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
