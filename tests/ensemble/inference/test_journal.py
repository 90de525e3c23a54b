"""A killed run is taken up, an interrupted one leaves nothing, and results are never read as studies."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from ensemble import predict
from ensemble.inference import journal, output
from ensemble.inference.bundle import Bundle
from ensemble.inference.inputs import by_id, find
from ensemble.inference.journal import partial_output, state_of
from ensemble.inference.results_writer import Results
from ensemble.inference.triage import from_spreadsheets
from tests import signals
from tests.ensemble.conftest import predict_command

KEY = {"bundle": "a"}
ODD_NAMES = [
    b"plain.png", b"=cmd.png", b"@SUM(A1).png", b"+1.png", "肺".encode() * 83, b"latin\xe9.png", b"latin\xe8.png",
    b"carriage\rreturn.png", b"1.2.840.10008.1", b"1.2.840.10008.2",
]  # fmt: skip


def picture(path: Path | bytes, seed: int = 0, side: int = 40) -> None:
    grey = np.random.default_rng(seed).integers(0, 256, (side, side)).astype(np.uint8)
    encoded = cv2.imencode(".png", grey)[1].tobytes()
    Path(os.fsdecode(path)).write_bytes(encoded)


def pictures(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        picture(folder / f"{number:04d}.png", number)
    return folder


def row(name: str) -> dict[str, object]:
    return {"file": name, "verdict": "refused"}


def test_finished_studies_are_taken_up_and_half_written_ones_removed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    part = tmp_path / ".out.part"
    # as a kill leaves it: one study whole, one without its line, one line cut off
    part.mkdir()
    (part / ".run.json").write_text('{"bundle": "a"}')
    (part / "overlays").mkdir()
    for name in ("a.png", "b.png", ".c.7.part.png"):
        (part / "overlays" / name).write_bytes(b"x")
    whole = '{"name": "61", "state": [1, 2], "row": {"file": "a"}, "files": ["overlays/a.png"]}\n'
    (part / ".rows.jsonl").write_text(whole + '{"name": "62", "sta')
    with partial_output(out, KEY) as kept:
        assert kept.finished(Path("a"), [1, 2])
        assert not kept.finished(Path("b"), [1, 2])
        kept.add(Path("b"), [1, 2], row("b"), [])
        kept.remove_others([Path("a"), Path("b")])
        assert [one["file"] for one in kept.rows([Path("a"), Path("b")])] == ["a", "b"]
    assert [path.relative_to(out).as_posix() for path in sorted(out.rglob("*"))] == [
        "overlays",
        "overlays/a.png",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), partial_output(tmp_path / "out", KEY):
        1 / 0  # noqa: B018
    assert list(tmp_path.iterdir()) == []


def test_the_folder_behind_a_link_takes_the_results(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with partial_output(tmp_path / "link", KEY) as kept:
        (kept.folder / "a").touch()
        kept.add(Path("a"), [1, 2], row("a"), ["a"])
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["a"]
    assert (tmp_path / "link").is_symlink()


def test_results_that_cannot_take_their_place_are_kept_and_named(tmp_path: Path) -> None:
    out = tmp_path / "out"
    writing = partial_output(out, KEY)
    kept = writing.__enter__()
    (kept.folder / "a").touch()
    kept.add(Path("a"), [1, 2], row("a"), ["a"])
    out.mkdir()
    (out / "of another program").touch()
    with pytest.raises(ValueError, match=r"out: cannot be replaced .* complete in .*\.out\.part"):
        writing.__exit__(None, None, None)
    assert [path.name for path in (tmp_path / ".out.part").iterdir()] == ["a"]


@pytest.mark.parametrize(("key", "state"), [({"bundle": "b"}, [1, 2]), (KEY, [1, 3])])
def test_another_run_or_another_file_starts_anew(
    tmp_path: Path, key: dict[str, str], state: list[int]
) -> None:
    part = tmp_path / ".out.part"
    part.mkdir()
    (part / ".run.json").write_text('{"bundle": "a"}')
    (part / ".rows.jsonl").write_text('{"name": "61", "state": [1, 2], "row": {}, "files": []}\n')
    with partial_output(tmp_path / "out", key) as kept:
        assert not kept.finished(Path("a"), state)


def test_two_runs_do_not_write_one_output(tmp_path: Path) -> None:
    with (
        partial_output(tmp_path / "out", KEY),
        pytest.raises(ValueError, match="another run is writing it"),
        partial_output(tmp_path / "out", KEY),
    ):
        pass


def begun(folder: Path, out: Path, bundle: Path, rows: int) -> subprocess.Popen[bytes]:
    """The command, once it has finished some more studies."""
    process = subprocess.Popen(
        predict_command(folder, out, bundle, "--dicom", "none"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=signals.heed,
    )
    lines = out.with_name(f".{out.name}.part") / ".rows.jsonl"
    before = lines.read_bytes().count(b"\n") if lines.exists() else 0
    while process.poll() is None and (not lines.exists() or lines.read_bytes().count(b"\n") < before + rows):
        time.sleep(0.02)
    return process


@pytest.mark.slow
def test_2000_files_killed_three_times(tiny_bundle: Path, tmp_path: Path) -> None:
    folder, out = pictures(tmp_path / "in", 2000), tmp_path / "out"
    finished = []
    for _ in range(3):
        process = begun(folder, out, tiny_bundle, 300)
        assert process.poll() is None
        process.kill()
        process.wait()
        finished.append((tmp_path / ".out.part/.rows.jsonl").read_bytes().count(b"\n"))
    assert finished == sorted(finished)
    assert finished[0] >= 300
    done = subprocess.run(
        predict_command(folder, out, tiny_bundle, "--dicom", "none"), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(out / "triage.csv")
    assert sorted(table["file"]) == [f"{number:04d}.png" for number in range(2000)]
    assert {f"overlays/{path.name}" for path in (out / "overlays").iterdir()} == set(
        table["overlay"].dropna()
    )
    assert sorted(path.name for path in out.iterdir()) == ["overlays", "triage.csv"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_removes_what_was_written(tiny_bundle: Path, tmp_path: Path, number: signal.Signals) -> None:
    process = begun(pictures(tmp_path / "in", 300), tmp_path / "out", tiny_bundle, 10)
    process.send_signal(number)
    assert process.wait(60) == 128 + number
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_odd_names_each_have_one_row(tiny_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for seed, name in enumerate(ODD_NAMES):
        picture(os.fsencode(folder) + b"/" + name, seed)
    inputs = find(folder)
    predict.predict(inputs, tmp_path / "out", Bundle.load(tiny_bundle), ())
    text = (tmp_path / "out/triage.csv").read_bytes()
    assert b"\r" not in text
    assert text.count(b"\n") == len(ODD_NAMES) + 1
    files = set(pd.read_csv(tmp_path / "out/triage.csv", keep_default_na=False)["file"])
    assert len(files) == len(ODD_NAMES)
    assert not [name for name in files if name.startswith(("=", "@", "+"))]
    assert {"=cmd.png", r"latin\xe9.png", r"latin\xe8.png", r"carriage\x0dreturn.png"} < set(
        map(from_spreadsheets, files)
    )
    ids = by_id(inputs)
    assert {"1.2.840.10008.1", "1.2.840.10008.2", r"latin\xe9", "=cmd"} < set(ids)


def test_results_inside_the_folder_are_not_read(tiny_bundle: Path, tmp_path: Path) -> None:
    folder, loaded = pictures(tmp_path / "in", 2), Bundle.load(tiny_bundle)
    for out in (folder / "out", folder / "second", tmp_path / "third"):
        table = predict.predict(find(folder, out), out, loaded, ())
        assert sorted(table["file"]) == ["0000.png", "0001.png"]
    assert "files of earlier results" in find(folder).notes[-1]


def test_one_file_can_be_named(tiny_bundle: Path, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "in", 2)
    table = predict.predict(find(folder / "0001.png"), tmp_path / "out", Bundle.load(tiny_bundle), ())
    assert list(table["file"]) == ["0001.png"]


def test_links_are_followed_and_what_cannot_be_read_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "in", 1)
    (folder / "more").symlink_to(pictures(tmp_path / "elsewhere", 1))
    (folder / "broken.dcm").symlink_to("/nowhere")
    os.mkfifo(folder / "pipe.dcm")
    table = predict.predict(find(folder), tmp_path / "out", Bundle.load(tiny_bundle), ()).set_index("file")
    assert table["verdict"].to_dict() == {
        "0000.png": "read", "more/0000.png": "read", "broken.dcm": "refused", "pipe.dcm": "refused",
    }  # fmt: skip
    assert "a pipe" in table.loc["pipe.dcm", "reason"]


def test_a_file_replaced_while_it_is_read_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    path, loaded = tmp_path / "a.png", Bundle.load(tiny_bundle)
    picture(path)
    state = state_of(path)
    scored = next(loaded.predictor().files([path]))
    picture(path, 1, side=20)  # smaller: its mask would not fit
    row, files = Results(tmp_path / "out", loaded, ()).write(scored, Path("a.png"), state)
    assert (row["verdict"], files) == ("refused", [])
    assert str(row["reason"]).startswith("FILE-CHANGED: ")


def test_outputs_are_checked_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="a folder; name a file"):
        output.check_file(tmp_path)
    with pytest.raises(ValueError, match=r"/proc/x\.csv: cannot be written"):
        output.check_file(Path("/proc/x.csv"))
    with pytest.raises(ValueError, match="/proc/x: cannot be written"):
        output.check_folder(Path("/proc/x"))
    with pytest.raises(
        ValueError, match=r"no space left on the disk: .* MB are free, at least .* MB are needed"
    ):
        output.check_folder(tmp_path / "out", studies=2**50)
    output.check_folder(tmp_path / "not" / "yet" / "there", 10)
    output.check_file(tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: object, pixels: object) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("ensemble.inference.results_writer.write_png", full)
    with pytest.raises(OSError, match="No space left"):
        predict.predict(find(pictures(tmp_path / "in", 3)), tmp_path / "out", Bundle.load(tiny_bundle), ())
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_the_state_of_a_missing_file() -> None:
    assert journal.state_of(Path("/nowhere")) == []
