"""Networks, inputs and options of a submission that are missing or wrong."""

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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "a.dcm", "--side", "7"], "--side 7: Input should be greater than or equal to 32"),
        (["--side", "7"], "--side 7: Input should be greater than or equal to 32"),
        (["--images", "a.dcm", "--masks", "a.dcm"], r"a\.dcm: a file; name a folder"),
        (
            ["--images", "a.dcm", "--masks", "a.dcm/in"],
            r"a\.dcm/in: a\.dcm is a file, not a folder; choose another place",
        ),
        (["--images", "a.dcm", "--output", "images"], "images: a folder; name a file"),
        (["--images", "a.dcm", "--output", "./a.dcm"], "a.dcm: is one of the images and .*"),
        (
            ["--images", "a.dcm", "--masks", "."],
            r"--masks \.: contains images that are read; name another folder",
        ),
        (["--images", "none"], "--images none: no such file or folder"),
        (["--images", "images"], "--images images: no images"),
        (["settings", "images: none"], r"submit\.images none: no such file or folder"),
        (
            ["settings", "images: a.dcm, sample: none.csv"],
            r"submit\.sample none\.csv: no such file or folder",
        ),
    ],
)
def test_a_wrong_path_or_value_names_the_option_or_key_that_gave_it(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before networks are loaded, of which there are none here."""
    monkeypatch.chdir(tmp_path)
    Path("a.dcm").write_bytes(b"\0" * 128 + b"DICM")
    Path("images").mkdir()
    submitted = arguments.pop() if arguments[0] == "settings" else ""
    Path("params.yaml").write_text(f"data: {{source: folder, folder: images}}\nsubmit: {{{submitted}}}\n")
    monkeypatch.setattr("sys.argv", ["submit", *arguments] if not submitted else ["submit"])
    with pytest.raises(ValueError, match=f"^{message}$"):
        submit.main()
    assert {path.name for path in tmp_path.iterdir()} == {"a.dcm", "images", "params.yaml"}
