"""Tables that are read, as people wrote them, or made row by row, without holding each cell as an object of Python.

Of CSV files a byte-order mark, blanks around names and values, and semicolons are all tolerated.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

SEPARATORS = (",", ";", "\t")
ROWS = 512
"""Read or packed at a time."""
GROUP = 2048
"""Rows that a Parquet file holds together, and that reading it decodes at once."""


class Packer:
    """A table made row by row: packed into typed columns some rows at a time, a few hundred bytes each."""

    def __init__(self, types: Mapping[str, str]) -> None:
        self._types = dict(types)
        self._packed: list[pd.DataFrame] = []
        self._loose: list[Mapping[str, Any]] = []

    def append(self, row: Mapping[str, Any]) -> None:
        """One row; what it does not say is missing."""
        self._loose.append(row)
        if len(self._loose) == ROWS:
            self._pack()

    def table(self) -> pd.DataFrame:
        """All rows."""
        self._pack()
        self._packed = [pd.concat(self._packed, ignore_index=True)]
        return self._packed[0]

    def _pack(self) -> None:
        if self._loose or not self._packed:
            columns = {name: [row.get(name) for row in self._loose] for name in self._types}
            self._packed.append(pd.DataFrame(columns, dtype=object).astype(self._types))
            self._loose = []


def packed(rows: Iterable[Mapping[str, Any]], types: Mapping[str, str]) -> pd.DataFrame:
    """A table of rows, with the columns and types that are named."""
    packer = Packer(types)
    for row in rows:
        packer.append(row)
    return packer.table()


def read_csv(path: str | Path) -> pd.DataFrame:
    """Read a CSV as text, names and values stripped; empty cells are ''. A ValueError names the file and the
    fault.

    The separator is the one of comma, semicolon and tab that is most frequent in the header line: a
    spreadsheet in a language with decimal commas saves semicolons.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            header = handle.readline()
        separator = max(SEPARATORS, key=header.count)
        with pd.read_csv(
            path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False,
            chunksize=ROWS,
        ) as parts:  # fmt: skip
            table = pd.concat([_stripped(part) for part in parts], ignore_index=True)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error.reason}); save it again as CSV, UTF-8") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{path}: not a CSV table: {str(error).strip()}") from error
    return table


def read_parquet(path: str | Path, without: Collection[str] = ()) -> pd.DataFrame:
    """Read a Parquet table some rows at a time: what it takes to decode all of it at once would stay with the process."""
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path, pre_buffer=False) as file:
        columns = [name for name in file.schema_arrow.names if name not in without]
        batches = file.iter_batches(ROWS, columns=columns, use_threads=False)
        parts = [batch.to_pandas() for batch in batches]
        empty = file.schema_arrow.empty_table().select(columns)
        return pd.concat(parts, ignore_index=True) if parts else empty.to_pandas()


def _stripped(table: pd.DataFrame) -> pd.DataFrame:
    table.columns = [str(name).strip() for name in table.columns]
    return table.fillna("").apply(lambda column: column.str.strip())


def column(table: pd.DataFrame, name: str, path: str | Path) -> pd.Series:
    """The column of this name, in upper or lower case; a ValueError names the file and the columns it has."""
    found = [own for own in table.columns if own.lower() == name.lower()]
    if len(found) != 1:
        state = "twice" if found else "missing"
        raise ValueError(
            f"{path}: column {name!r} is {state}; the file has {', '.join(map(repr, table.columns))}"
        )
    return table[found[0]]
