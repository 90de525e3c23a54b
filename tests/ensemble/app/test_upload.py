"""Temporary folders of servers: locked while they run, removed at the end or by the next server."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ensemble.app.upload import sweep, temporary_folder

HOLD = "from ensemble.app.upload import temporary_folder\nwith temporary_folder() as f:\n print(f, flush=True)\n input()"


def test_what_a_killed_server_left_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    command = [sys.executable, "-c", HOLD]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    folder = Path(server.stdout.readline().strip())
    (folder / "upload-x").mkdir()
    (folder / "upload-x" / "upload").write_bytes(b"a patient")
    (tmp_path / "pneumothorax-somebody-elses").mkdir()
    sweep(tmp_path)
    assert folder.is_dir()  # its server runs
    server.kill()
    server.communicate()
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["pneumothorax-somebody-elses"]


def test_a_folder_ends_with_its_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with temporary_folder() as folder:
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []
