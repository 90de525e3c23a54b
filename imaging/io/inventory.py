"""List input files with their checksums, even where pipes, broken links or unreadable folders lie beside them.

DVC hashes every entry of a folder that a stage depends on: it stops at a broken link and blocks on a pipe. A stage that
depends on an inventory instead is stale when a file that `walk` lists changes, appears or disappears.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from imaging.io.files import read_json, sha256, write_json
from imaging.io.threads import cores, ordered_map
from imaging.io.walk import Entry, printable, walk

SETTLED = 2.0
"""Seconds after its last change from which a file's time stamps reveal a later change; file systems round to at most 2."""


class Checksums:
    """Checksums of files, remembered between runs in a JSON file by path, size, inode and times of change."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._known: dict[str, Any] = _read(self._path)
        self._used: dict[str, Any] = {}

    def of(self, path: str) -> str:
        """Hex SHA-256 of an ordinary file; OSError when it cannot be read."""
        key = os.path.abspath(path)
        about = os.stat(path)
        state = [about.st_size, about.st_ino, about.st_mtime_ns, about.st_ctime_ns]
        known = self._known.get(key)
        digest = known[1] if known and known[0] == state else sha256(path)
        if time.time() - max(about.st_mtime, about.st_ctime) > SETTLED:
            self._used[key] = [state, digest]
        return digest

    def save(self) -> None:
        """Keep only the entries used in this run."""
        write_json(self._path, self._used)


def inventory(places: Iterable[str | Path], checksums: Checksums) -> Iterator[tuple[str, str]]:
    """Yield the files of folders, or files themselves: path within the place, and checksum or why it cannot be read.

    ValueError when a place does not exist.
    """
    for place in map(str, places):
        if not os.path.exists(place):
            raise ValueError(f"{place!r}: no such file or folder")
        entries = walk(place) if os.path.isdir(place) else iter([Entry(place)])
        yield from ordered_map(partial(_line, place, checksums), entries, cores())


def _line(place: str, checksums: Checksums, entry: Entry) -> tuple[str, str]:
    name = os.path.relpath(entry.path, place) if entry.path != place else os.path.basename(place)
    try:
        # a file whose name rules it out as an image may be a table of labels
        is_file = not entry.refused and stat.S_ISREG(os.stat(entry.path).st_mode)
        return printable(name), checksums.of(entry.path) if is_file else entry.reason
    except OSError as error:
        return printable(name), f"cannot be read ({error.strerror})"


def _read(path: Path) -> dict[str, Any]:
    """The remembered checksums; none when there is no such file, or a damaged one."""
    try:
        content = read_json(path)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
