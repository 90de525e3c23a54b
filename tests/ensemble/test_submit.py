"""Networks that a submission needs and that are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from ensemble import submit


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "models/ensemble/decision.json: no such file; `dvc repro fit_ensemble` makes it"),
        (
            ["--refit"],
            "models/refit/ensemble/decision.json: no such file; `python -m ensemble.refit` makes it",
        ),
    ],
)
def test_without_networks_the_command_that_makes_them_is_named(
    more: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.dcm").write_bytes(b"\0" * 128 + b"DICM")
    monkeypatch.setattr("sys.argv", ["submit", "--images", "a.dcm", "--output", "s.csv", *more])
    with pytest.raises(ValueError, match=f"^{message}$"):
        submit.main()
    assert [path.name for path in tmp_path.iterdir()] == ["a.dcm"]
