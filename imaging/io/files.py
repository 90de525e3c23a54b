"""Files that are whole or absent: write to a temporary name in the same folder, then rename."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it becomes `path`, on any error it is removed.

    The rename is atomic on one file system (POSIX rename(2)), so a reader sees the old file or the new one, never a part.
    The temporary name keeps the suffix, since some writers choose their format by it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path, mark: str | None = None) -> Iterator[Path]:
    """Yield an empty folder beside `path`; on success it takes that name, on any error it is removed.

    What stood there is replaced only if it holds a file called `mark`, or nothing at all; a ValueError spares all else.
    """
    path = Path(path)
    ours = mark is not None and (path / mark).is_file()
    if path.exists() and not ours and not (path.is_dir() and not any(path.iterdir())):
        raise ValueError(f"{path}: exists already; choose another folder, or remove it yourself")
    temporary, old = (path.with_name(f".{path.name}.{os.getpid()}.{part}") for part in ("part", "old"))
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if path.exists():
            os.replace(path, old)
        os.replace(temporary, path)
    finally:
        for folder in (temporary, old):
            shutil.rmtree(folder, ignore_errors=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON with sorted keys and a final newline, so that equal content is an equal file."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read JSON; a ValueError names the file when it is missing or damaged."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not valid JSON: {error}") from error


def sha256(path: str | Path) -> str:
    """Hex SHA-256 of a file's content, read in pieces."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def fingerprint(*parts: Any) -> str:
    """Sixteen hex digits that name these values: files by content (pass Path), all else by its JSON.

    An iterator counts as the list of what it gives, of which one item is in memory at a time.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Iterator):
            digest.update(b"[")
            for number, item in enumerate(part):
                digest.update((b", " if number else b"") + _canonical(item))
            digest.update(b"]\0")
        else:
            digest.update((sha256(part).encode() if isinstance(part, Path) else _canonical(part)) + b"\0")
    return digest.hexdigest()[:16]


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, default=str).encode()
