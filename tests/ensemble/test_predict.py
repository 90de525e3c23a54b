"""`python -m ensemble.predict` on a folder of all kinds of files: nothing is lost, nothing leaves the output, no half results."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from highdicom.seg import segread
from pydicom import dcmread

from ensemble import predict
from ensemble.inference import triage
from ensemble.inference.bundle import Bundle, write_index
from ensemble.inference.inputs import find
from ensemble.inference.names import inside
from ensemble.inference.overlay import overlay
from ensemble.inference.results_writer import Results
from imaging.caption import BAR, PHANTOMS
from imaging.io.files import read_json, write_json
from imaging.phantom.chest.render import render
from imaging.phantom.dicom_writer import location, save
from imaging.settings import PhantomSettings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three phantoms, one of them in the irregular form of the test set; pictures of one name; files that are none."""
    root = tmp_path_factory.mktemp("in") / "studies"
    settings = PhantomSettings(train=20, test=1, prevalence=0.5)
    for index in (0, 1, 20):
        phantom = render(settings.seed, index, settings)
        save(root / location(settings.seed, index, phantom.facts.case.split), phantom, settings.seed)
    grey = np.random.default_rng(0).integers(0, 255, (90, 120)).astype(np.uint8)
    (root / "a").mkdir()
    for name in ("same.png", "a/same.png", "same.jpg", "odd name; $(rm).png"):
        cv2.imwrite(str(root / name), grey)
    (root / "cut.dcm").write_bytes(next(root.rglob("*.dcm")).read_bytes()[:5000])
    (root / ".hidden.png").write_bytes(b"x")
    (root / "README.txt").write_text("no picture")
    return root


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny one with a level so low that every image gets a mask, whatever its chance weights make of it."""
    copy = Path(shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("sure") / "bundle"))
    decision = read_json(copy / "decision.json")
    del decision["level_probabilities"]  # those of the rule that this one replaces
    write_json(copy / "decision.json", {**decision, "rule": {"kind": "gate", "cut": 0.0, "level": 1}})
    return write_index(copy, "test", {}).folder


@pytest.fixture(scope="module")
def done(folder: Path, bundle: Path) -> subprocess.CompletedProcess[str]:
    """The command as its user gives it."""
    command = [sys.executable, "-m", "ensemble.predict", str(folder), "--output", str(folder.parent / "out")]
    return subprocess.run([*command, "--bundle", str(bundle)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def table(done: subprocess.CompletedProcess[str], folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder.parent / "out" / "triage.csv")


def test_it_says_what_it_did(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert done.returncode == predict.TOO_MANY_REFUSED, done.stderr
    assert "7 read, 1 refused, 7 with a mask" in done.stdout
    assert "Left out, not images: 1 (README.txt)." in done.stdout
    assert "not for diagnosis" in done.stdout
    assert "Warning" not in done.stderr
    assert "Exit status 3: 0.125 of the files were refused, but --refused allows 0" in done.stderr
    assert not list(folder.parent.glob(".out*"))


def test_every_file_has_a_row_and_the_refused_ones_a_reason(table: pd.DataFrame, folder: Path) -> None:
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(table["file"]) == files - {".hidden.png", "README.txt"}
    refused = table[table["verdict"] == "refused"].set_index("file")
    assert refused["reason"].str.startswith("DICOM-").to_dict() == {"cut.dcm": True}
    assert refused[["probability", "area_px", "decision"]].isna().all(axis=None)
    assert table["verdict"].tolist()[-1] == "refused"
    assert table["probability"].dropna().is_monotonic_decreasing


def test_area_in_millimetres_where_the_spacing_is_known(table: pd.DataFrame) -> None:
    known = table[table["verdict"] == "read"].set_index("file")["area_mm2"].notna()
    assert known.to_dict() == {name: name.endswith(".dcm") for name in known.index}


def test_pictures_mirror_the_tree_and_none_covers_another(table: pd.DataFrame, folder: Path) -> None:
    found = table["overlay"].dropna()
    assert found.is_unique
    out = (folder.parent / "out").resolve()
    for name in found:
        assert (out / name).resolve().is_relative_to(out / "overlays")
    assert {"overlays/same.png.png", "overlays/a/same.png.png", "overlays/same.jpg.png"} < set(found)
    assert cv2.imread(str(out / "overlays/same.png.png")).shape == (90 + BAR, 120, 3)


def test_dicom_objects_hold_the_mask_at_the_studys_size(table: pd.DataFrame, folder: Path) -> None:
    said = table[table["verdict"] == "read"].set_index("file")["dicom"]
    train = said[said.index.str.startswith("dicom-images-train")]
    assert len(train) == 2
    for name, pattern in train.items():
        stem = pattern.removesuffix(".{seg,gsps,sc,sr}.dcm")
        assert stem == f"dicom/{name}"
        read = segread(folder.parent / "out" / f"{stem}.seg.dcm").pixel_array
        assert read.shape == (1024, 1024)
        assert read.sum() == table.set_index("file").loc[name, "area_px"]
        for kind in ("gsps", "sc", "sr"):
            assert (folder.parent / "out" / f"{stem}.{kind}.dcm").exists()
    assert said["same.png"] == "none: no DICOM file"
    (test,) = said[said.index.str.startswith("dicom-images-test")]
    assert test.startswith("none: no valid StudyInstanceUID")


def test_the_same_answers_without_the_cascade_and_from_the_predictor(
    table: pd.DataFrame, folder: Path, bundle: Path, tmp_path: Path
) -> None:
    loaded = Bundle.load(bundle)
    again = predict.predict(find(folder / "a"), tmp_path / "out", loaded, (), cascade=False)
    answer = next(loaded.predictor().files([folder / "a/same.png"])).prediction
    assert answer is not None
    row = table.set_index("file").loc["a/same.png"]
    assert again.loc[0, "area_px"] == row["area_px"] == answer.mask.sum()
    assert row["probability"] == pytest.approx(answer.prob, abs=1e-4)
    assert not (tmp_path / "out/dicom").exists()


def test_a_bundle_trained_on_phantoms_says_so_of_every_study(
    folder: Path, bundle: Path, table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    trained_on_phantoms = write_index(copy, "phantom", {})
    lines = []
    monkeypatch.setattr(
        "ensemble.inference.results_writer.overlay", lambda *given: lines.append(given[2]) or overlay(*given)
    )
    again = predict.predict(find(folder / "a"), tmp_path / "out", trained_on_phantoms, ())
    assert again["warning"].tolist() == [PHANTOMS]
    assert [PHANTOMS in line for line in lines] == [True]
    assert table["warning"].isna().all()  # of the other bundle


def test_warnings_reach_table_overlay_report_and_segmentation(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = PhantomSettings(train=20, test=1, prevalence=0.5)
    phantom = render(settings.seed, 0, settings)
    path = tmp_path / "in" / location(settings.seed, 0, "train")
    save(path, phantom, settings.seed)
    header = dcmread(path)
    header.PixelSpacing, header.ViewPosition, header.PatientAge = [0.14, 0.14], "LL", "005Y"
    header.BodyPartExamined = "HAND"
    header.save_as(path)
    lines: list[str] = []
    monkeypatch.setattr(
        "ensemble.inference.results_writer.overlay", lambda *given: lines.append(given[2]) or overlay(*given)
    )
    loaded = Bundle.load(bundle)
    row = predict.predict(find(tmp_path / "in"), tmp_path / "out", loaded, ("seg", "sr")).loc[0]
    codes = [warning.split(":")[0] for warning in row["warning"].split("; ") if ":" in warning]
    assert codes == ["SPACING", "VIEW", "BODY-PART", "AGE"]
    assert pd.isna(row["area_mm2"])
    assert row["area_px"] > 0
    assert "Warning: SPACING, VIEW, BODY-PART, AGE" in lines[0]
    stem = tmp_path / "out" / row["dicom"].removesuffix(".{seg,sr}.dcm")
    made = dcmread(f"{stem}.seg.dcm")
    assert "PixelMeasuresSequence" not in made.SharedFunctionalGroupsSequence[0]
    said = Path(f"{stem}.sr.dcm").read_bytes()
    for code in codes:
        assert f"Warning: {code}".encode() in said


def test_an_output_that_holds_something_is_spared(folder: Path, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(ValueError, match="exists already; choose another folder"):
        predict.predict(find(folder / "a"), tmp_path, Bundle.load(bundle), ())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_failure_leaves_nothing_behind(
    folder: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triage, "table", lambda rows: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        predict.predict(find(folder / "a"), tmp_path / "out", Bundle.load(bundle), ())
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_of_another_finding_makes_no_objects_coded_as_pneumothorax(
    folder: Path, bundle: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    write_index(copy, "ct_ich", {})
    with pytest.raises(ValueError, match="give --dicom none"):
        predict.predict(find(folder), tmp_path / "out", Bundle.load(copy), ("seg",))


def test_a_file_that_vanishes_is_refused_and_a_header_nobody_foresaw_stops_nothing(
    folder: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = Bundle.load(bundle)
    study = next(folder.glob("dicom-images-train/*/*/*.dcm"))
    scored = next(loaded.predictor().files([study]))
    results = Results(tmp_path, loaded, ("seg", "sr"))
    monkeypatch.setattr("imaging.dicom_objects.segmentation.make", lambda *_: {}["Doe^Jane"])
    row, files = results.write(scored, Path("a.dcm"))
    assert row["dicom"] == "dicom/a.dcm.sr.dcm; seg: not made (KeyError)"
    assert files == ["overlays/a.dcm.png", "dicom/a.dcm.sr.dcm"]
    row, files = results.write(replace(scored, path=folder / "gone.dcm"), Path("gone.dcm"))
    assert (row["verdict"], row["reason"], files) == ("refused", "FILE-MISSING: no such file", [])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["", "--output", "o"], "FOLDER is empty"),
        (["in", "--output", "o", "--shard", "5"], "--shard 5: needs --engine ray"),
        (["in", "--output", "o", "--address", "a:1"], "--address a:1: needs --engine ray"),
        (
            ["in", "--output", "o", "--engine", "ray", "--precision", "int8"],
            "--precision int8 needs --onnx or",
        ),
        (["in", "--output", "o", "--engine", "ray", "--dicom", "seg"], "leave out --dicom"),
    ],
)
def test_options_that_would_be_ignored_are_refused(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["predict", *words])
    with pytest.raises(ValueError, match=message):
        predict.main()


def test_the_folder_of_the_images_is_no_place_for_results(folder: Path) -> None:
    with pytest.raises(ValueError, match="is the folder of the images"):
        find(folder, folder)


@pytest.mark.parametrize(("name", "message"), [("nowhere", "no such file or folder"), ("empty", "no images")])
def test_no_input_is_an_error(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=message):
        find(tmp_path / name)


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "..", "a/../b", "C:\\x\\y", "a\nb", "-" * 300, "ä" * 120, "肺" * 83, "x.png/y", "con trol\x07",
     "..hidden",     os.fsdecode(b"caf\xe9.dcm")],
)  # fmt: skip
def test_names_stay_inside_and_apart(name: str, tmp_path: Path) -> None:
    made = inside(Path(name), ".gsps.dcm")
    assert not made.is_absolute()
    assert (tmp_path / made).resolve().is_relative_to(tmp_path)
    assert all(part not in ("", ".", "..") and len(part.encode()) < 256 for part in made.parts)
    assert made != inside(Path(name + "'"), ".gsps.dcm")


def test_plain_names_stay_as_they_are() -> None:
    assert inside(Path("Fälle 2024/a (1).dcm"), ".seg.dcm").as_posix() == "Fälle 2024/a (1).dcm.seg.dcm"
    assert inside(Path("a.png/b"), ".png").parts[0] != inside(Path("a"), ".png").parts[0]


def test_an_overlay_is_no_larger_than_needed() -> None:
    grey, mask = np.zeros((3000, 2000), np.uint8), np.zeros((3000, 2000), bool)
    mask[500:900, 300:800] = True
    picture = overlay(grey, mask, "0.97   12 px")
    assert picture.shape == (1024 + BAR, 683, 3)
    rows = np.flatnonzero(np.ptp(picture[:1024].astype(int), axis=2).any(axis=1))
    assert (rows[0], rows[-1]) == pytest.approx((500 * 1024 / 3000, 900 * 1024 / 3000), abs=2)


def test_prediction_imports_neither_the_training_loop_nor_mlflow() -> None:
    code = "import sys, ensemble.predict; print([name for name in ('lightning', 'mlflow') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stdout + done.stderr
