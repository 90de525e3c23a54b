from __future__ import annotations

import numpy as np
import pytest

from imaging.io.npy_writer import row_writer


@pytest.mark.parametrize("count", [0, 1, 3, 1000])
def test_the_file_is_what_numpy_would_have_saved(tmp_path, count):
    rows = np.random.default_rng(0).integers(0, 256, (count, 3, 5), np.uint8)
    with row_writer(tmp_path / "rows.npy", (3, 5)) as writer:
        assert [writer.append(row) for row in rows] == list(range(count))
    loaded = np.load(tmp_path / "rows.npy", allow_pickle=False, mmap_mode=None if count == 0 else "r")
    np.testing.assert_array_equal(loaded, rows)
    np.save(tmp_path / "other.npy", rows)
    assert (tmp_path / "rows.npy").read_bytes() == (tmp_path / "other.npy").read_bytes()


def test_nothing_is_left_of_a_file_that_failed(tmp_path):
    def fail() -> None:
        with row_writer(tmp_path / "rows.npy", (2, 2)) as writer:
            writer.append(np.zeros((2, 2), np.uint8))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("row", [np.zeros((2, 3), np.uint8), np.zeros((2, 2), np.int64)])
def test_a_row_of_another_kind_is_refused(tmp_path, row):
    with (
        pytest.raises(ValueError, match=r"a row must be uint8 \(2, 2\)"),
        row_writer(tmp_path / "r.npy", (2, 2)) as writer,
    ):
        writer.append(row)
