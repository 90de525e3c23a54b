from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from imaging import prepare, split
from imaging.export.__main__ import export
from imaging.prepared import Prepared
from imaging.settings import DataSettings, SplitSettings

FOLDERS = {"mmsegmentation": "exported", "nnunet": "Dataset501_Pneumothorax"}


def reimported(folder: Path, tmp_path: Path) -> Prepared:
    data = DataSettings(source="folder", folder=str(folder), image_size=32)
    prepare.run(data, tmp_path / "again", tmp_path / "reports")
    split.run(SplitSettings(folds=2), tmp_path / "again", tmp_path / "reports")
    return Prepared(tmp_path / "again")


@pytest.mark.parametrize("tool", FOLDERS)
@pytest.mark.parametrize("reduced", [False, True])
def test_round_trip(prepared_once, tmp_path, tool, reduced):
    first = Prepared(prepared_once)
    folder = tmp_path / FOLDERS[tool]
    assert export(tool, folder, prepared_once, reduced) == 12
    again = reimported(folder, tmp_path)
    labelled = first.rows(again.index["image_id"])
    np.testing.assert_array_equal(again.images, first.images[labelled])
    for row, own in enumerate(labelled):
        np.testing.assert_array_equal(again.mask(row), first.mask(own))
    sides = again.index["height"].unique().tolist()
    assert sides == ([32] if reduced else [64])
    if not reduced:
        assert again.truth.to_dict() == first.truth.to_dict()
    holdout = {name for name, fold in first.folds.items() if fold == "holdout"}
    assert {name for name, fold in again.folds.items() if fold == "holdout"} == holdout
    owners = first.index["patient_id"].iloc[labelled].tolist()
    numbers = again.index["patient_id"].tolist()
    assert len(set(zip(owners, numbers, strict=True))) == len(set(owners)) == len(set(numbers))


def lines(path: Path) -> set[str]:
    return set(path.read_text().split())


def test_mmsegmentations_lists_are_our_folds(prepared_once, tmp_path):
    folds = Prepared(prepared_once).folds
    export("mmsegmentation", tmp_path / "out", prepared_once)
    out = tmp_path / "out"
    of = {
        part: {f"{'val' if part == 'holdout' else 'train'}/{name}" for name in folds.index[folds == part]}
        for part in ("0", "1", "holdout")
    }
    assert lines(out / "train.txt") == of["0"] | of["1"]
    assert lines(out / "val.txt") == of["holdout"]
    assert lines(out / "fold0_val.txt") == lines(out / "fold1_train.txt") == of["0"]
    assert lines(out / "fold1_val.txt") == lines(out / "fold0_train.txt") == of["1"]
    for name in of["0"] | of["1"] | of["holdout"]:
        mask = cv2.imread(str(out / "masks" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        image = cv2.imread(str(out / "images" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        assert (mask.dtype, mask.shape, image.dtype, image.shape) == (np.uint8, (64, 64), np.uint8, (64, 64))
        assert set(np.unique(mask)) == ({0, 1} if int(name[-1]) % 2 else {0})
    assert not list(out.rglob("*unlabelled*"))


def test_nnunets_files_are_our_folds(prepared_once, tmp_path):
    folds = Prepared(prepared_once).folds
    out = tmp_path / "Dataset501_Pneumothorax"
    export("nnunet", out, prepared_once)
    train = sorted(folds.index[folds != "holdout"])
    assert json.loads((out / "dataset.json").read_text()) == {
        "channel_names": {"0": "grey"},
        "labels": {"background": 0, "finding": 1},
        "numTraining": len(train),
        "file_ending": ".png",
    }
    splits = json.loads((out / "splits_final.json").read_text())
    assert [part["val"] for part in splits] == [sorted(folds.index[folds == fold]) for fold in ("0", "1")]
    assert all(sorted(part["train"] + part["val"]) == train for part in splits)
    assert sorted(path.name for path in (out / "imagesTr").iterdir()) == [
        f"{name}_0000.png" for name in train
    ]
    assert sorted(path.stem for path in (out / "labelsTr").iterdir()) == train
    assert (
        len(list((out / "imagesTs").iterdir())) == len(list((out / "labelsTs").iterdir())) == 12 - len(train)
    )


def test_patients_are_numbered_not_named(prepared_once, tmp_path):
    export("mmsegmentation", tmp_path / "out", prepared_once)
    rows = (tmp_path / "out/patients.csv").read_text().split()
    assert rows[:3] == ["image,patient", "i00,1", "i01,2"]


def test_what_stands_in_the_way(prepared_once, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("")
    with pytest.raises(ValueError, match="full: exists already"):
        export("mmsegmentation", tmp_path / "full", prepared_once)
    with pytest.raises(ValueError, match="such as Dataset501_Pneumothorax"):
        export("nnunet", tmp_path / "out", prepared_once)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full"]


def test_a_file_that_is_gone_or_changed(siim, tmp_path):
    paths = [siim.add(f"i{number}", "0 9" if number % 2 else "-1") for number in range(8)]
    siim.write_labels()
    prepare.run(siim.settings(), tmp_path / "prepared", tmp_path / "reports")
    split.run(
        SplitSettings(folds=2, unknown_patients="by_image"), tmp_path / "prepared", tmp_path / "reports"
    )
    siim.add("i3", None, pixels=np.zeros((50, 64), np.uint8))
    with pytest.raises(ValueError, match=r"i3\.dcm: has changed since it was prepared"):
        export("mmsegmentation", tmp_path / "out", tmp_path / "prepared")
    paths[3].unlink()
    with pytest.raises(
        ValueError,
        match=r"i3\.dcm: FILE-MISSING: no such file; correct it, or export the prepared images with --reduced",
    ):
        export("mmsegmentation", tmp_path / "out", tmp_path / "prepared")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))
    assert export("mmsegmentation", tmp_path / "out", tmp_path / "prepared", reduced=True) == 8


def test_the_command_line(prepared_once, tmp_path):
    command = [sys.executable, "-m", "imaging.export", "nnunet", "--data", str(prepared_once), "--output"]
    done = subprocess.run([*command, str(tmp_path / "Dataset001_A")], capture_output=True, text=True)
    assert done.stdout == f"12 images in {tmp_path / 'Dataset001_A'}\n"
    failed = subprocess.run([*command, str(tmp_path / "wrong")], capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr.startswith("--output")
    assert "Traceback" not in failed.stderr
