"""An archive's folder: what it is made of is written down, a shard is there whole or not at all, and nothing else is mixed in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ensemble.cluster.archive import SCHEMA, opened
from ensemble.cluster.inventory import Inventory
from imaging.decoding.radiograph import RefusedFile
from imaging.formats import reader, remote
from tests.imaging import dicom_files

SETTINGS: dict[str, Any] = {"bundle_sha256": "a" * 64, "cascade": True}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five files, one of them deeper, one of a name that is no text, and a hidden one."""
    root = tmp_path / "in"
    (root / "b").mkdir(parents=True)
    for name in ("a.dcm", "b/c.dcm", "d.dcm", "z.dcm", ".hidden"):
        (root / name).write_bytes(name.encode())
    (root / os.fsdecode(b"caf\xe9.dcm")).write_bytes(b"x")
    return root


def rows(names: list[str]) -> pa.Table:
    return pa.table({"file": names, "verdict": ["refused"] * len(names)}).join(
        SCHEMA.empty_table().drop_columns(["verdict"]), "file", join_type="left outer"
    ).select(SCHEMA.names)  # fmt: skip


def test_shards_hold_all_names_and_what_is_written_is_not_missing(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with opened(out, Inventory(str(folder)), SETTINGS, 2) as archive:
        assert (archive.files, len(archive), archive.missing()) == (5, 3, [0, 1, 2])
        names = [name for number in range(3) for name in archive.names(number)]
        assert names == ["a.dcm", "b/c.dcm", os.fsdecode(b"caf\xe9.dcm"), "d.dcm", "z.dcm"]
        archive.write(1, rows(["x", "y"]))
        archive.write(2, rows(["z"]))
    (out / "shards" / ".part-0000000.77.part.parquet").touch()  # as a kill leaves it
    with opened(out, Inventory(str(folder)), SETTINGS, 2) as again:
        assert again.missing() == [0]
        with pytest.raises(ValueError, match="1 rows for 2 files"):
            again.write(0, rows(["x"]))
        assert again.missing() == [0]
        again.write(0, rows(["x", "y"]))
        assert again.counts() == (5, 0)
        assert len(list((out / "shards").iterdir())) == 3


def add(folder: Path) -> None:
    (folder / "new.dcm").write_bytes(b"n")


def enlarge(folder: Path) -> None:
    (folder / "d.dcm").write_bytes(b"another size")


@pytest.mark.parametrize(
    ("change", "settings", "shard", "message"),
    [
        (add, SETTINGS, 2, "files: 5 before, 6 now; inputs"),
        (enlarge, SETTINGS, 2, r"has predictions for other inputs or settings \(inputs"),
        (None, {**SETTINGS, "bundle_sha256": "b" * 64}, 2, r"bundle_sha256: a+ before, b+ now"),
        (None, {**SETTINGS, "cascade": False}, 2, "cascade: True before, False now"),
        (None, SETTINGS, 4, "shard: 2 before, 4 now"),
    ],
)
def test_what_belongs_to_something_else_is_left_alone(
    folder: Path, tmp_path: Path, change: Any, settings: dict[str, Any], shard: int, message: str
) -> None:
    out = tmp_path / "out"
    with opened(out, Inventory(str(folder)), SETTINGS, 2):
        pass
    before = (out / "archive.json").read_bytes()
    if change:
        change(folder)
    with pytest.raises(ValueError, match=message), opened(out, Inventory(str(folder)), settings, shard):
        pass
    assert (out / "archive.json").read_bytes() == before


def test_a_folder_of_other_things_and_a_second_run_are_refused(folder: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="is not an archive"),
        opened(folder, Inventory(str(folder)), SETTINGS, 2),
    ):
        pass
    with opened(tmp_path / "out", Inventory(str(folder)), SETTINGS, 2):
        hold = "import fcntl, sys\nfcntl.flock(open(sys.argv[1], 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
        other = subprocess.run([sys.executable, "-c", hold, tmp_path / "out/.lock"], capture_output=True)
        assert b"BlockingIOError" in other.stderr


def test_a_list_names_files_anywhere(folder: Path, tmp_path: Path) -> None:
    listed = folder / "list.txt"
    listed.write_text(f"a.dcm\n\n{tmp_path}/elsewhere.dcm\nfile://{folder}/d.dcm\n../../up.dcm\n")
    inventory = Inventory(str(listed))
    names = [name for name, _ in inventory.names()]
    assert [inventory.address(name) for name in names] == [
        f"{folder}/a.dcm",
        f"{tmp_path}/elsewhere.dcm",
        f"file://{folder}/d.dcm",
        f"{folder}/../../up.dcm",
    ]
    with opened(tmp_path / "out", inventory, SETTINGS, 16) as archive:
        archive.write(0, rows(names))
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.parquet")}
    assert written == {"out/inputs.parquet", "out/shards/part-0000000.parquet"}  # no name leads out of it


def test_a_file_listed_twice(folder: Path, tmp_path: Path) -> None:
    listed = folder / "list.txt"
    listed.write_text("a.dcm\nd.dcm\nz.dcm\nd.dcm\n")
    with (
        pytest.raises(ValueError, match="line 4 repeats an earlier one"),
        opened(tmp_path / "out", Inventory(str(listed)), SETTINGS, 2),
    ):
        pass


@pytest.mark.parametrize("source", ["nowhere", "empty", "empty.txt", "file:///nowhere", "nosuch://bucket/a"])
def test_no_inputs(source: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.txt").write_text("\n")
    source = source if "://" in source else str(tmp_path / source)
    with pytest.raises(ValueError, match=r"no such|no images|no files|lists no files|not known"):
        list(Inventory(source).names())


def test_a_folder_behind_a_url(folder: Path) -> None:
    """As the local folder, but for the name that no URL can have."""
    (folder / os.fsdecode(b"caf\xe9.dcm")).unlink()
    behind = Inventory(f"file://{folder}")
    assert list(behind.names()) == list(Inventory(str(folder)).names())
    assert behind.address("b/c.dcm") == f"file://{folder}/b/c.dcm"


def test_a_file_behind_a_url_is_read_as_the_local_one(tmp_path: Path) -> None:
    import numpy as np

    path = dicom_files.write(
        tmp_path / "a.dcm", np.random.default_rng(0).integers(0, 256, (90, 70), np.uint8)
    )
    one = reader.read(path, 64)
    other = reader.read(f"file://{path}", 64)
    assert (one.pixels == other.pixels).all()
    assert one.facts == other.facts
    with pytest.raises(RefusedFile, match="no such file"):
        reader.read(f"file://{tmp_path}/b.dcm", 64)
    (tmp_path / "empty.dcm").touch()
    with pytest.raises(RefusedFile, match="the file is empty"):
        remote.load(f"file://{tmp_path}/empty.dcm")
