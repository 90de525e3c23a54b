"""Each opening of the hold-out is one more line."""

from __future__ import annotations

import json

from ensemble.evaluation import ledger


def test_openings_are_appended_and_counted_by_data(tmp_path) -> None:
    assert ledger.count("a", tmp_path) == 0
    assert ledger.record("a", {"x": 1}, 0.9, tmp_path) == 1
    assert ledger.record("b", {"x": 1}, 0.8, tmp_path) == 1
    assert ledger.record("a", {"x": 2}, 0.7, tmp_path) == 2
    assert ledger.record("a", {"x": 2}, 0.7, tmp_path) == 2  # the same once more
    lines = [json.loads(line) for line in (tmp_path / ledger.NAME).read_text().splitlines()]
    assert [line["score"] for line in lines] == [0.9, 0.8, 0.7]
    assert lines[0]["params"] == lines[1]["params"] != lines[2]["params"]
    assert all(line["commit"] and line["time"].endswith("+00:00") for line in lines)
    assert "2 times" in ledger.sentence(2)
    assert "once" in ledger.sentence(1)
