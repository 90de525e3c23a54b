"""Inventories follow the content of files, and pass over what cannot be read."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from imaging.io import inventory as module
from imaging.io.inventory import Checksums, inventory


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_folder_with_all_kinds_of_entries(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    (folder / "sub").mkdir(parents=True)
    elsewhere.mkdir()
    (elsewhere / "far.dcm").write_bytes(b"far")
    (folder / "train-rle.csv").write_bytes(b"labels")
    (folder / "sub" / "a.dcm").write_bytes(b"a")
    (folder / os.fsdecode(b"\xff.dcm")).write_bytes(b"b")
    (folder / ".DS_Store").write_bytes(b"hidden")
    os.symlink(elsewhere, folder / "linked")
    os.symlink(elsewhere, folder / "linked again")
    os.symlink("/nowhere", folder / "broken.dcm")
    os.mkfifo(folder / "pipe")
    assert dict(inventory([folder], Checksums(tmp_path / "sums.json"))) == {
        "broken.dcm": "a broken link",
        "linked again": "a link to a folder that is already listed",
        "linked/far.dcm": digest(b"far"),
        "pipe": "a pipe, not a file",
        "sub/a.dcm": digest(b"a"),
        "train-rle.csv": digest(b"labels"),
        "\\xff.dcm": digest(b"b"),
    }


def test_a_single_file_and_a_missing_one(tmp_path: Path) -> None:
    (tmp_path / "patients.csv").write_bytes(b"p")
    sums = Checksums(tmp_path / "sums.json")
    assert list(inventory([tmp_path / "patients.csv"], sums)) == [("patients.csv", digest(b"p"))]
    with pytest.raises(ValueError, match="no such file or folder"):
        list(inventory([tmp_path / "none"], sums))


def test_unchanged_files_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, read = tmp_path / "a.dcm", []
    path.write_bytes(b"old")
    original = module.sha256
    monkeypatch.setattr(module, "sha256", lambda path: (read.append(path), original(path))[1])

    def now(clock: float) -> str:
        monkeypatch.setattr(module.time, "time", lambda: clock)
        sums = Checksums(tmp_path / "sums.json")
        found = sums.of(str(path))
        sums.save()
        return found

    changed = time.time()
    now(changed)  # too fresh: a change within the same tick of the clock would not be seen
    assert now(changed + 100) == now(changed + 100) == digest(b"old")
    assert len(read) == 2
    path.write_bytes(b"new")  # of the same size
    assert now(changed + 200) == digest(b"new")
    path.unlink()
    path.write_bytes(b"")
    (tmp_path / "sums.json").write_text("damaged")
    assert now(changed + 300) == digest(b"")
