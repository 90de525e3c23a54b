"""Partial output folder of a run: a killed run leaves it behind, and the same command resumes it.

`.OUT.part` beside OUT holds the results so far and, hidden in it,

    .run.json       what the results depend on: bundle, settings, folder; another run starts over
    .rows.jsonl     one line per finished study: its path, size and time of change, its row and its files
    .lock           keeps a second run out while this one works

A study's line is written after its files. Anything that no line names is removed at the end, so that a study that was half
written, or that changed meanwhile, is redone. Everything is removed on an error, on Ctrl-C, SIGTERM and SIGHUP: the folder may
hold copies of studies. Only a process that is killed outright leaves it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ensemble.inference.triage import Row
from imaging.io.files import check_replaceable, leftovers, write_json

RUN, ROWS, LOCK = ".run.json", ".rows.jsonl", ".lock"
Key = dict[str, Any]


class Journal:
    """A partial output folder and its finished studies."""

    def __init__(self, folder: Path, lines: IO[bytes], done: dict[bytes, dict[str, Any]]) -> None:
        self.folder, self._lines, self._done = folder, lines, done

    def finished(self, name: Path, state: list[int]) -> bool:
        """Whether a study is done: it has a line, and the file is still the one that was read."""
        found = self._done.get(os.fsencode(name))
        if found is not None and found["state"] == state:
            return True
        self._done.pop(os.fsencode(name), None)
        return False

    def add(self, name: Path, state: list[int], row: Row, files: Iterable[str]) -> None:
        """Note a finished study; thread-safe."""
        entry = {"name": os.fsencode(name).hex(), "state": state, "row": row, "files": list(files)}
        self._lines.write((json.dumps(entry) + "\n").encode())  # one write of a file opened to append
        self._lines.flush()
        self._done[os.fsencode(name)] = entry

    def rows(self, names: Iterable[Path]) -> list[Row]:
        """The rows of these studies, each once."""
        return [self._done[os.fsencode(name)]["row"] for name in names]

    def remove_others(self, names: Iterable[Path]) -> None:
        """Remove every file that none of these studies made, and empty folders."""
        ours = {file for name in names for file in self._done[os.fsencode(name)]["files"]}
        for path in sorted(self.folder.rglob("*"), reverse=True):
            relative = path.relative_to(self.folder).as_posix()
            if path.is_dir():
                if not any(path.iterdir()):
                    path.rmdir()
            elif relative not in ours and relative not in (RUN, ROWS, LOCK):
                path.unlink()


@contextmanager
def partial_output(output: Path, key: Key) -> Iterator[Journal]:
    """The journal of OUT, new or resumed; on success OUT takes its place, on an error all is removed.

    key: what the results depend on. ValueError when OUT is not empty, or another run is writing it.
    """
    check_replaceable(output)
    output = output.resolve() if output.is_symlink() else output  # the folder behind a link takes the results
    for leftover in leftovers(output):  # of versions that named it by process
        shutil.rmtree(leftover, ignore_errors=True)
    folder = output.with_name(f".{output.name}.part")
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder, output):
        if _read(folder / RUN) != key:
            _empty(folder)
            write_json(folder / RUN, key)
        try:
            with (folder / ROWS).open("ab") as lines:
                yield Journal(folder, lines, _lines(folder / ROWS))
            for name in (RUN, ROWS, LOCK):
                (folder / name).unlink()
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        try:
            if output.exists():  # an empty folder
                output.rmdir()
            os.replace(folder, output)
        except OSError as error:
            raise ValueError(
                f"{output}: cannot be replaced ({error.strerror}); the results are complete in {folder}, move them yourself"
            ) from None


@contextmanager
def _locked(folder: Path, output: Path) -> Iterator[None]:
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{output}: another run is writing it; wait for it, or stop it") from None
        yield


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def _lines(path: Path) -> dict[bytes, dict[str, Any]]:
    """Finished studies by name; a truncated last line does not count, and is terminated so that no other line is joined to
    it."""
    found: dict[bytes, dict[str, Any]] = {}
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)
    for line in data[:whole].splitlines():
        entry = json.loads(line)
        found[bytes.fromhex(entry["name"])] = entry
    return found


def state_of(path: Path) -> list[int]:
    """What changes when a file does: its size and its time of change in nanoseconds; [] when it is gone."""
    try:
        about = os.stat(path)
    except OSError:
        return []
    return [about.st_size, about.st_mtime_ns]
