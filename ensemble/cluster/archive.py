"""The output of a large archive: a folder of Parquet files, each written once, with a record of inputs and settings.

    archive.json              the inputs, the bundle and the settings that all files were made from
    inputs.parquet            every file's name, a row group for each of the files below
    shards/part-0000000.parquet …   one row per input file, in their order: `SCHEMA`

A shard is written atomically, so a run that was killed resumes with the missing ones. A folder with other inputs or another
bundle is refused.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ensemble.cluster.inventory import Inventory
from imaging.io.files import atomic, read_json, write_json

NOTE = "archive.json"
INPUTS = "inputs.parquet"
SCHEMA = pa.schema(
    [
        ("file", pa.string()),
        ("verdict", pa.string()),
        ("probability", pa.float64()),
        ("decision", pa.string()),
        ("reason", pa.string()),
        ("warning", pa.string()),
        ("area_px", pa.int64()),
        ("area_mm2", pa.float64()),
        ("side", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("mask", pa.string()),
    ]
)
"""The columns of triage.csv (ensemble.inference.triage), the image's own size, and the mask's run-length code in it."""


class Archive:
    """An output folder, locked by one run at a time."""

    def __init__(self, folder: Path, files: int, shard: int) -> None:
        self.folder, self.files, self.shard = folder, files, shard

    def __len__(self) -> int:
        return -(-self.files // self.shard)

    def rows(self, number: int) -> int:
        """Number of files in a shard."""
        return min(self.shard, self.files - number * self.shard)

    def path(self, number: int) -> Path:
        """The file of a shard."""
        return self.folder / "shards" / f"part-{number:07d}.parquet"

    def missing(self) -> list[int]:
        """Numbers of the shards that are not written yet."""
        return [number for number in range(len(self)) if not self.path(number).exists()]

    def names(self, number: int) -> list[str]:
        """The inputs of a shard."""
        with pq.ParquetFile(self.folder / INPUTS) as inputs:
            return [os.fsdecode(name) for name in inputs.read_row_group(number)["name"].to_pylist()]

    def write(self, number: int, table: pa.Table) -> None:
        """Write a shard; ValueError when it has not one row for each of its inputs."""
        expected = self.rows(number)
        if len(table) != expected:
            raise ValueError(
                f"{self.path(number)}: {len(table)} rows for {expected} files; this is a bug, please report it"
            )
        with atomic(self.path(number)) as temporary:
            pq.write_table(table.cast(SCHEMA), temporary, compression="zstd")

    def counts(self) -> tuple[int, int]:
        """How many files were refused, and how many have a mask."""
        refused = masks = 0
        for number in range(len(self)):
            table = pq.read_table(self.path(number), columns=["verdict", "decision"])
            refused += table["verdict"].to_pylist().count("refused")
            masks += table["decision"].to_pylist().count("mask")
        return refused, masks


@contextmanager
def opened(folder: Path, inventory: Inventory, settings: dict[str, Any], shard: int) -> Iterator[Archive]:
    """Make or resume the archive of these inputs and settings; ValueError when the folder holds something else.

    settings: whatever else the predictions depend on, as plain values such as the bundle's checksum.
    """
    ours = (folder / NOTE).exists() or not folder.exists()
    if not ours and any(path.name != INPUTS and not path.name.startswith(".") for path in folder.iterdir()):
        raise ValueError(
            f"{folder}: exists already and is not an archive; choose another folder, or remove it yourself"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        for half in folder.glob("shards/.part-*"):  # of a run that was killed
            half.unlink()
        listed = folder / f".{INPUTS}"
        found = {"version": 2, "shard": shard, **settings, **_list_inputs(inventory, listed, shard)}
        if (folder / NOTE).exists():
            _same(folder, read_json(folder / NOTE), found)
        os.replace(listed, folder / INPUTS)
        write_json(folder / NOTE, found)
        yield Archive(folder, found["files"], shard)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock the folder; the lock ends with this process, however it ends."""
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{folder}: another run is writing there; wait for it, or stop it") from None
        yield


def _list_inputs(inventory: Inventory, path: Path, shard: int) -> dict[str, Any]:
    """Write the inputs' names in row groups of `shard`; returns their number and digest. ValueError when one is listed twice.

    Memory holds the names of one shard and 8 bytes per file.
    """
    digest, marks, names = hashlib.sha256(), array("Q"), list[bytes]()
    schema = pa.schema([("name", pa.binary())])
    with pq.ParquetWriter(path, schema) as writer:
        for text, size in inventory.names():
            name = os.fsencode(text)
            digest.update(b"%d %s\0" % (-1 if size is None else size, name))
            marks.append(int.from_bytes(hashlib.blake2b(name, digest_size=8).digest()))
            names.append(name)
            if len(names) == shard:
                writer.write_table(pa.table({"name": names}, schema))
                names = []
        if names:
            writer.write_table(pa.table({"name": names}, schema))
    if duplicate := _first_duplicate(np.frombuffer(marks, np.uint64)):
        raise ValueError(f"{inventory.source}: line {duplicate} repeats an earlier one; list each file once")
    return {"files": len(marks), "inputs": digest.hexdigest()}


def _first_duplicate(marks: NDArray[np.uint64]) -> int | None:
    """Number, from 1 on, of the first entry that repeats an earlier one; None without one."""
    _, first = np.unique(marks, return_index=True)
    if len(first) == len(marks):
        return None
    return int(np.setdiff1d(np.arange(len(marks)), first)[0]) + 1


def _same(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Compare two records; ValueError names what differs."""
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if changed:
        differences = "; ".join(f"{key}: {before.get(key)} before, {now.get(key)} now" for key in changed)
        raise ValueError(
            f"{folder}: has predictions for other inputs or settings ({differences}). Choose another folder, or "
            "remove it yourself"
        )
