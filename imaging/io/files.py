"""Write files that are whole or absent: to a temporary name in the same folder, every step checked, then renamed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_STEM = 100
"""Bytes of a file's name that its temporary name repeats: a name may have 255, of which 83 Chinese characters take 249."""
MAX_ENDING = 20


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it becomes `path`, on any error it is removed.

    The rename is atomic on one file system (POSIX rename(2)), so a reader sees the old file or the new one, never a part.
    The temporary name keeps the ending, since some writers choose their format by it. OSError when the content could not be
    written to disk.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    try:
        yield temporary
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.filename is None:  # a full disk, as `write` reports it
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path, mark: str | None = None) -> Iterator[Path]:
    """Yield an empty folder beside `path`; on success it takes that name, on any error it is removed.

    An existing folder is replaced only if it holds a file called `mark`, or nothing at all; otherwise ValueError. What killed
    runs left beside it is removed first.
    """
    path = Path(path)
    check_replaceable(path, mark)
    for leftover in leftovers(path):
        _remove(leftover)
    temporary, old = temporary_name(path), temporary_name(path, "old")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if path.exists():
            os.replace(path, old)
        os.replace(temporary, path)
    finally:
        _remove(temporary)
        _remove(old)


def check_replaceable(path: str | Path, mark: str | None = None) -> None:
    """ValueError when a folder may not be replaced: something is there, and no file `mark` in it."""
    path = Path(path)
    _check_above(path)
    ours = mark is not None and (path / mark).is_file()
    if path.exists() and not ours and not (path.is_dir() and not any(path.iterdir())):
        raise ValueError(f"{path}: exists already; choose another folder, or remove it yourself")


def check_apart(path: str | Path, option: str, others: Mapping[str, str | Path]) -> None:
    """ValueError when `path`, the value of `option`, is, contains or lies in one of the folders, each under its description."""
    own = Path(path).resolve()
    for name, other in others.items():
        folder = Path(other).resolve()
        if own == folder or own in folder.parents or folder in own.parents:
            raise ValueError(
                f"{option} {path}: is, contains or lies in {name} ({other}); choose another folder"
            )


def check_names_file(path: str | Path) -> None:
    """ValueError when no file can have this name: it is a folder, or a file is where one of its parent folders should be."""
    if Path(path).is_dir():
        raise ValueError(f"{path}: a folder; name a file")
    _check_above(Path(path))


def check_names_folder(path: str | Path) -> None:
    """ValueError when no folder can have this name: it is a file, or a file is where one of its parent folders should be."""
    if Path(path).exists() and not Path(path).is_dir():
        raise ValueError(f"{path}: a file; name a folder")
    _check_above(Path(path))


def _check_above(path: Path) -> None:
    """Checked early: the operating system's later error would name a temporary file, or only the file in the way."""
    nearest = next((parent for parent in path.parents if parent.exists()), None)
    if nearest is not None and not nearest.is_dir():
        raise ValueError(f"{path}: {nearest} is a file, not a folder; choose another place")


def temporary_name(path: Path, kind: str = "part") -> Path:
    """The hidden name beside `path` under which this process writes it: `.<stem>.<process id>.<kind><ending>`."""
    return path.with_name(f"{_prefix(path)}{os.getpid()}.{kind}{_ending(path)}")


def leftovers(path: str | Path) -> list[Path]:
    """Temporary files and folders of `path` left by processes that no longer exist, such as killed ones."""
    path = Path(path)
    form = re.compile(re.escape(_prefix(path)) + r"(\d+)\.(?:part|old)" + re.escape(_ending(path)))
    if not path.parent.is_dir():
        return []
    found = ((other, form.fullmatch(other.name)) for other in path.parent.iterdir())
    return sorted(other for other, match in found if match and not _is_running(int(match[1])))


def _prefix(path: Path) -> str:
    stem = path.name.removesuffix(_ending(path))
    if len(os.fsencode(stem)) > MAX_STEM:
        stem = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    return f".{stem}."


def _ending(path: Path) -> str:
    return path.suffix if len(os.fsencode(path.suffix)) <= MAX_ENDING else ""


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # another user's; not a process id
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def write_bytes(path: str | Path, data: bytes | memoryview) -> None:
    """Write a file atomically; OSError when writing, flushing, syncing or closing it fails, as on a full disk."""
    with atomic(path) as temporary, temporary.open("wb") as handle:
        handle.write(data)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in UTF-8 atomically."""
    write_bytes(path, text.encode())


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON with sorted keys and a final newline, so that equal content is an equal file."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_png(path: str | Path, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write grey pixels (H, W), or red, green, blue (H, W, 3), as PNG, atomically.

    `cv2.imwrite` reports success on a full disk: here OpenCV only encodes.
    """
    encoded, data = cv2.imencode(".png", pixels[..., ::-1] if pixels.ndim == 3 else pixels)
    if not encoded:
        raise ValueError(f"{path}: {pixels.dtype} pixels of shape {pixels.shape} cannot be written as PNG")
    write_bytes(path, data.data)


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
    """Sixteen hex digits that identify these values: files by content (pass Path), all else by its JSON.

    An iterator counts as the list of its items, with one item in memory at a time.
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
