"""Read tables as people write them, and make typed ones.

In CSV files, a byte-order mark, blanks around names and values, and semicolons are tolerated.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

import pandas as pd

from imaging.io.files import write_text

SEPARATORS = (",", ";", "\t")


def typed(rows: Iterable[Mapping[str, Any]], types: Mapping[str, str]) -> pd.DataFrame:
    """A table of rows with these columns and pandas types; values that a row does not have are missing."""
    content = list(rows)
    columns = {name: [row.get(name) for row in content] for name in types}
    return pd.DataFrame(columns, dtype=object).astype(dict(types))


def write_csv(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, atomically."""
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def read_csv(path: str | Path) -> pd.DataFrame:
    """Read a CSV as text, names and values stripped; empty cells are ''. A ValueError names the file and the
    fault.

    The separator is the one of comma, semicolon and tab that is most frequent in the header line: a
    spreadsheet in a language with decimal commas saves semicolons.
    """
    path = Path(path)
    try:
        with _opened(path) as handle:
            header = handle.readline()
        separator = max(SEPARATORS, key=header.count)
        table = pd.read_csv(
            path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False
        )
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error.reason}); save it again as CSV, UTF-8") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, gzip.BadGzipFile, EOFError) as error:
        raise ValueError(f"{path}: not a CSV table: {str(error).strip()}") from error
    return _stripped(table)


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a CSV (also .gz) or Parquet file as text, as `read_csv` does; ValueError names the file and the fault."""
    if Path(path).suffix != ".parquet":
        return read_csv(path)
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:  # pyarrow's errors are of both
        raise ValueError(f"{path}: not a Parquet table: {str(error).strip()}") from error
    return _stripped(table.astype(object).where(table.notna(), "").astype(str))


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
