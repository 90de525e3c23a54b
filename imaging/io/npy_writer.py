"""Write an .npy file row by row, for arrays that do not fit in memory and whose number of rows is not known in advance."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from imaging.io.files import atomic


class RowWriter:
    """Append uint8 rows of one shape to an open file; `count` is their number.

    Not a memory map: on a full disk, a write raises OSError, whereas a store into a map kills the process.
    """

    def __init__(self, handle: BinaryIO, row_shape: tuple[int, ...]) -> None:
        self.count = 0
        self._handle = handle
        self._shape = row_shape
        self._header = self._write_header()

    def append(self, row: NDArray[np.uint8]) -> int:
        """Write a row and return its index; ValueError for another shape or dtype."""
        if row.shape != self._shape or row.dtype != np.uint8:
            raise ValueError(f"a row must be uint8 {self._shape}, not {row.dtype} {row.shape}")
        self._handle.write(np.ascontiguousarray(row).data)
        self.count += 1
        return self.count - 1

    def finish(self) -> None:
        """Write the final number of rows into the header, which has room for 21 digits (numpy.lib.format)."""
        self._handle.seek(0)
        if self._write_header() != self._header:
            raise RuntimeError("numpy wrote a header of another length")

    def _write_header(self) -> int:
        content = {"descr": "|u1", "fortran_order": False, "shape": (self.count, *self._shape)}
        np.lib.format.write_array_header_1_0(self._handle, content)
        return self._handle.tell()


@contextmanager
def row_writer(path: str | Path, row_shape: tuple[int, ...]) -> Iterator[RowWriter]:
    """Write `path` row by row; the file appears when the block ends without an error."""
    with atomic(path) as temporary, temporary.open("wb") as handle:
        writer = RowWriter(handle, row_shape)
        yield writer
        writer.finish()
