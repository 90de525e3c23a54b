"""Tables as people write them, and typed ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pandas as pd
import pytest

from imaging.io.files import fingerprint
from imaging.io.tables import read_csv, typed, write_csv
from imaging.sources import listing

COUNTS = [0, 1, 7]


def made(count: int) -> Iterator[dict[str, object]]:
    yield from ({"image_id": f"i{number}", "label": None if number % 2 else 1} for number in range(count))


@pytest.mark.parametrize("count", COUNTS)
def test_rows_become_typed_columns(count: int) -> None:
    table = typed(made(count), {"image_id": "string", "label": "Int8", "path": "string"})
    assert table["image_id"].tolist() == [f"i{number}" for number in range(count)]
    assert int(table["label"].isna().sum()) == count // 2
    assert table["path"].isna().all()
    assert [str(kind) for kind in table.dtypes] == ["string", "Int8", "string"]


@pytest.mark.parametrize("count", COUNTS)
def test_records_one_by_one_without_what_is_missing(count: int) -> None:
    table = listing.table({"split": "train", "path": "x", **row} for row in made(count))
    found = sorted(listing.rows(table), key=lambda record: int(record["image_id"][1:]))
    given = [{key: value for key, value in row.items() if value is not None} for row in made(count)]
    assert found == [{"split": "train", "path": "x", **row} for row in given]


@pytest.mark.parametrize("count", COUNTS)
def test_csv_files_are_stripped(tmp_path: Path, count: int) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a, b\n" + "".join(f"{number}, x {number} \n" for number in range(count)))
    table = read_csv(path)
    assert table.columns.tolist() == ["a", "b"]
    assert table["b"].tolist() == [f"x {number}" for number in range(count)]
    assert table.index.equals(pd.RangeIndex(count))
    write_csv(tmp_path / "b.csv", table)
    pd.testing.assert_frame_equal(read_csv(tmp_path / "b.csv"), table)


@pytest.mark.parametrize("items", [[], [1], [["a", None, 1], {"b": 2.5}]])
def test_the_name_of_a_stream_is_that_of_its_list(items: list[object]) -> None:
    assert fingerprint(iter(items), "x") == fingerprint(items, "x")
    text = json.dumps(items).encode() + b"\0"
    assert fingerprint(iter(items)) == sha256(text).hexdigest()[:16]
