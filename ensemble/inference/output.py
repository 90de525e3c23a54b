"""Check that results can be written before any study is scored: writable, no folder in the way, room on the disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from imaging.io.files import check_names_file, check_names_folder, check_replaceable

A_FILE = 4096
"""Bytes that the smallest result of a study takes: a row, or one block of a small picture."""
AT_LEAST = 2**20


def check_folder(path: Path, studies: int = 0, mark: str | None = None) -> None:
    """ValueError when a new folder `path` cannot be made, or contains anything other than results with a file `mark`."""
    check_replaceable(path, mark)
    _check_room(path, path.parent, studies)


def check_folder_of_files(path: Path, studies: int = 0) -> None:
    """ValueError when files cannot be written into a folder `path`, which may exist and contain others."""
    check_names_folder(path)
    _check_room(path, path, studies)


def check_file(path: Path, studies: int = 0) -> None:
    """ValueError when a file `path` cannot be written or replaced."""
    check_names_file(path)
    if path.exists() and not os.access(path, os.W_OK):
        raise ValueError(f"{path}: exists and may not be replaced; choose another name")
    _check_room(path, path.parent, studies)


def _check_room(path: Path, folder: Path, studies: int) -> None:
    """Write a test file in `folder`, where the results `path` will go, and check that the free space suffices for the smallest
    ones.

    Folders that do not exist yet are made later; the nearest existing one above decides.
    """
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".trial-") as trial:
            trial.write(b"\0" * A_FILE)
            trial.flush()
            os.fsync(trial.fileno())
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise ValueError(f"{path}: cannot be written ({error.strerror}); choose another place") from None
    needed = AT_LEAST + studies * A_FILE
    if free < needed:
        raise ValueError(
            f"{path}: no space left on the disk: {free / 1e6:.1f} MB are free, at least {needed / 1e6:.1f} MB are needed"
        )
