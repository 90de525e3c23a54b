"""uint8 maps of one size in one zip file: each map is deflated separately, so that one can be read without the others.

Probability maps are mostly background: they take about a seventeenth of a plain array's space, and are restored bit for bit.
"""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LEVEL = 6
"""zlib level: files are a third smaller than with level 1, still in a fraction of a network's time."""
SHARE = 5
"""Free space required before writing: a fifth of the plain array, three times what probability maps need."""
_START = (1980, 1, 1, 0, 0, 0)  # no date, so that equal maps are equal files


def write(path: str | Path, batches: Iterable[NDArray[np.uint8]], count: int, encoding: str) -> None:
    """Write `count` maps that come as batches uint8 (B, s, s); ValueError if the disk has too little free space.

    encoding: what their bytes mean; readers must ask for the same.
    """
    done = 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive:
        archive.comment = encoding.encode()
        for batch in batches:
            if done == 0:
                check_room(Path(path).parent, count * batch[0].size // SHARE)
            for one in batch:
                header = f"{one.shape[0]}x{one.shape[1]}"
                info = zipfile.ZipInfo(f"{done:08d}-{header}", _START)
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, np.ascontiguousarray(one, np.uint8).tobytes(), compresslevel=LEVEL)
                done += 1
    if done != count:
        raise ValueError(f"{path}: expected {count} maps, got {done}")


def check_room(folder: Path, needed: int) -> None:
    """ValueError when a folder's disk has fewer free bytes than needed."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ValueError(
            f"{folder}: {free / 2**30:.1f} GiB free, about {needed / 2**30:.1f} GiB needed for the probability maps; "
            "free some space, or lower `segmentation.image_size`"
        )


class MapArchive:
    """Maps of a file, read one by one: `archive[row]` is uint8 (s, s), `archive.shape` (n, s, s)."""

    def __init__(self, path: str | Path, encoding: str) -> None:
        """ValueError where the maps have another encoding."""
        self._path = Path(path)
        try:
            self._zip = zipfile.ZipFile(self._path)
        except zipfile.BadZipFile as error:
            raise ValueError(f"{path}: not a zip file of maps: {error}") from error
        found = self._zip.comment.decode(errors="replace")
        if found != encoding:
            raise ValueError(
                f"{path}: maps in another encoding ({found or 'unnamed, so from an earlier release'}); this release reads "
                f"{encoding}; predict again with `dvc repro`"
            )
        self._names = self._zip.namelist()
        sizes = {name.partition("-")[2] for name in self._names}
        if len(sizes) != 1 or not all(part.isdigit() for part in next(iter(sizes)).split("x")):
            raise ValueError(f"{path}: not a zip file of maps of one size")
        height, width = map(int, next(iter(sizes)).split("x"))
        self.shape = (len(self._names), height, width)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, row: int) -> NDArray[np.uint8]:
        """One map; ValueError when the file is damaged there."""
        try:
            content = self._zip.read(self._names[row])
            return np.frombuffer(content, np.uint8).reshape(self.shape[1:])
        except (zipfile.BadZipFile, zlib.error, ValueError, EOFError) as error:
            raise ValueError(f"{self._path}: map {row} is damaged: {error}; run `dvc repro`") from error
