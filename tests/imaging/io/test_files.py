"""Files that are whole or absent, whatever their name and the state of the disk."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from imaging.io.files import (
    atomic,
    atomic_folder,
    check_names_file,
    check_names_folder,
    check_replaceable,
    leftovers,
    write_bytes,
    write_png,
)


@pytest.mark.parametrize(
    "name", ["a.png", "肺" * 83 + ".png", "x" * 255, "a." + "y" * 200, os.fsdecode(b"\xff.png"), "a\rb"]
)
def test_names_of_any_length_and_bytes(tmp_path: Path, name: str) -> None:
    with atomic(tmp_path / name) as temporary:
        temporary.write_bytes(b"x")
        assert temporary.parent == tmp_path
        assert temporary.suffix == (".png" if name.endswith(".png") else ".part")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"old")

    def fails() -> None:
        with atomic(tmp_path / "a") as temporary:
            temporary.write_bytes(b"new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: both make write() fail."""
    code = f"""
import resource, signal, numpy as np
from imaging.io.files import write_bytes, write_png
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
for write in (lambda path: write_bytes(path, bytes(5000)), lambda path: write_png(path, noise)):
    try: write({str(tmp_path / "a.png")!r})
    except OSError as error: print(error.strerror)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["File too large"] * 2
    assert list(tmp_path.iterdir()) == []


def test_png_of_grey_and_colours(tmp_path: Path) -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for pixels in (grey, grey.astype(np.uint16) * 5000, np.dstack([grey, grey + 1, grey + 2])):
        write_png(tmp_path / "a.png", pixels)
        found = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(found[..., ::-1] if found.ndim == 3 else found, pixels)
    with pytest.raises((ValueError, cv2.error)):
        write_png(tmp_path / "b.png", np.zeros((0, 3), np.uint8))
    assert not (tmp_path / "b.png").exists()


def test_a_folder_is_replaced_only_when_it_is_ours(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for content in ("1", "2"):
        with atomic_folder(out, "mark") as folder:
            (folder / "mark").write_text(content)
        assert (out / "mark").read_text() == content
    with pytest.raises(ValueError, match="exists already"), atomic_folder(out, "other"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead, living = tmp_path / f".out.{ended.pid}.part", tmp_path / f".out.{os.getppid()}.part"
    for folder in (dead, living):
        folder.mkdir()
        (folder / "copy").touch()
    assert leftovers(tmp_path / "out") == [dead]
    assert leftovers(tmp_path / "none" / "out") == []
    with atomic_folder(tmp_path / "out"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [living.name, "out"]


def test_a_full_disk_is_one_line_with_the_files_name(tmp_path: Path) -> None:
    """The limit of a file's size stands for the disk: `write` fails in the same way, without a name."""
    code = (
        "import resource, numpy as np; from imaging.io import command, files; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); "
        "noise = np.random.default_rng(0).integers(0, 255, (300, 300), np.uint8); "
        "command.run(lambda: files.write_png('masks/a.png', noise))"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "masks/a.png: File too large\n")
    assert list((tmp_path / "masks").iterdir()) == []


def test_a_short_write_without_a_reason_names_the_file(tmp_path: Path) -> None:
    """numpy's `tofile` on a full disk: an OSError with words and no number."""
    writing = atomic(tmp_path / "a.npy")
    writing.__enter__().touch()
    short = OSError("5 requested and 3 written")
    with pytest.raises(OSError, match="5 requested and 3 written") as fault:
        writing.__exit__(OSError, short, None)
    assert (fault.value.errno, fault.value.filename) == (errno.EIO, str(tmp_path / "a.npy"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_behind_a_link_is_replaced_and_the_link_kept(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with atomic_folder(tmp_path / "link") as folder:
        (folder / "made").touch()
    assert (tmp_path / "link").is_symlink()
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["made"]


@pytest.mark.parametrize("name", [".", "/proc"])  # no name, and a mounted disk
def test_a_folder_that_cannot_be_replaced_is_refused_at_once(name: str) -> None:
    with pytest.raises(ValueError, match="results"), atomic_folder(name):
        pytest.fail("it was opened")


@pytest.mark.parametrize(
    ("check", "name", "message"),
    [
        (check_names_file, "folder", "folder: a folder; name a file"),
        (check_names_file, "file/a/b.csv", r"b\.csv: .*file is a file, not a folder; choose another place"),
        (check_names_folder, "file", "file: a file; name a folder"),
        (check_names_folder, "file/a", "a: .*file is a file, not a folder; choose another place"),
        (check_replaceable, "file", "file: exists already; choose another folder"),
        (check_replaceable, "file/a", "a: .*file is a file, not a folder; choose another place"),
    ],
)
def test_a_file_where_a_folder_is_meant_and_the_reverse(
    check: Callable[[Path], None], name: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for fine in ("new", "folder/new", "new/a/b"):
        check(tmp_path / fine)
    with pytest.raises(ValueError, match=message):
        check(tmp_path / name)
