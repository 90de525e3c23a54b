"""Descriptions of data, and how they are read."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from ensemble.validation import dataset
from imaging.settings import DataSettings


def picture(path: Path, seed: int, side: int = 64) -> None:
    """Write a smooth random picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.Generator(np.random.PCG64(seed)).integers(0, 256, (side, side)).astype(np.uint8)
    cv2.imwrite(str(path), cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 5), None, 20, 235, cv2.NORM_MINMAX))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six pictures, three with a mask, one of these empty."""
    for i in range(6):
        picture(tmp_path / "images" / f"i{i}.png", i)
        mask = np.zeros((64, 64), np.uint8)
        mask[10:20, 10:30] = 255 * (i < 2)
        if i < 3:
            (tmp_path / "masks").mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / "masks" / f"i{i}.png"), mask)
    return tmp_path


def read(settings: DataSettings, tmp_path: Path) -> dataset.External:
    return dataset.read(settings, 32, tmp_path / "scratch", 0.0, "x")


def test_unlabelled_images_are_left_out_and_counted(folder: Path, tmp_path: Path) -> None:
    found = read(dataset.settings_of(str(folder), [], tmp_path), tmp_path)
    assert found.prepared.index["image_id"].tolist() == ["i0", "i1", "i2"]
    assert found.prepared.index["label"].tolist() == [1, 1, 0]
    assert found.prepared.truth["i2"] == "-1"
    assert found.unlabelled == 3
    assert found.prepared.images.shape == (3, 32, 32)


def test_settings_reach_the_source(folder: Path, tmp_path: Path) -> None:
    found = read(dataset.settings_of(str(folder), [("without_mask", "negative")], tmp_path), tmp_path)
    assert found.prepared.index["label"].tolist() == [1, 1, 0, 0, 0, 0]


@pytest.fixture
def csv(folder: Path) -> Path:
    """The same pictures with labels in a table, some with the word on a tube."""
    rows = {
        "path": [f"images/i{i}.png" for i in range(6)],
        "label": [1, 0] * 3,
        "drain": ["1", "0", "", "yes", "", ""],
    }
    pd.DataFrame(rows).to_csv(folder / "labels.csv", index=False)
    return folder / "labels.csv"


def test_a_table_has_labels_without_masks(csv: Path, tmp_path: Path) -> None:
    settings = dataset.settings_of(str(csv), [], tmp_path)
    assert (settings.source, settings.table) == ("table", "labels.csv")
    found = read(settings, tmp_path)
    assert found.prepared.index["label"].tolist() == [1, 0] * 3
    assert found.prepared.has_mask.tolist() == [False, True] * 3
    np.testing.assert_array_equal(found.drain, [1, 0, np.nan, 1, np.nan, np.nan])


def test_columns_may_have_other_names(csv: Path, tmp_path: Path) -> None:
    pd.read_csv(csv).rename(columns={"path": "file", "label": "ptx"}).to_csv(csv, index=False)
    with pytest.raises(ValueError, match=r"no column 'path'; name it in --set columns\.path\. "):
        read(dataset.settings_of(str(csv), [], tmp_path), tmp_path)
    named = [("columns.path", "file"), ("columns.label", "ptx")]
    found = read(dataset.settings_of(str(csv), named, tmp_path), tmp_path)
    assert found.prepared.index["label"].tolist() == [1, 0] * 3


def test_a_path_is_not_taken_for_a_key(csv: Path, tmp_path: Path) -> None:
    csv = csv.rename(csv.with_name("data.csv"))
    pd.read_csv(csv).rename(columns={"path": "file"}).to_csv(csv, index=False)
    with pytest.raises(ValueError, match=r"data\.csv: no column 'path'; name it in --set columns\.path"):
        read(dataset.settings_of(str(csv), [], tmp_path), tmp_path)


@pytest.mark.parametrize("turned", [False, True])
def test_a_section_and_its_keys_add_up(turned: bool, csv: Path, tmp_path: Path) -> None:
    pairs = [("columns.path", "file"), ("columns", {"label": "ptx"})][:: -1 if turned else 1]
    columns = dataset.settings_of(str(csv), pairs, tmp_path).columns
    assert (columns["path"], columns["label"]) == ("file", "ptx")


def test_tubes_may_stand_in_a_file_of_their_own(folder: Path, tmp_path: Path) -> None:
    (folder / dataset.DRAIN_FILE).write_text("image,drain\ni0.png,1\ni2,0\n")
    found = read(dataset.settings_of(str(folder), [], tmp_path), tmp_path)
    np.testing.assert_array_equal(found.drain, [1, np.nan, 0])


@pytest.mark.parametrize("content", ["image,drain\ni0,2\n", "image\ni0\n"])
def test_odd_tables_of_tubes_are_refused(content: str, folder: Path, tmp_path: Path) -> None:
    (folder / dataset.DRAIN_FILE).write_text(content)
    with pytest.raises(ValueError, match="drain"):
        read(dataset.settings_of(str(folder), [], tmp_path), tmp_path)


def test_kinds_of_folders(tmp_path: Path) -> None:
    (tmp_path / "a" / "inner").mkdir(parents=True)
    (tmp_path / "a" / "inner" / "train-rle.csv").touch()
    (tmp_path / "b" / "images").mkdir(parents=True)
    assert dataset.kind_of(tmp_path / "a") == "siim"
    assert dataset.kind_of(tmp_path / "b") == "folder"


@pytest.mark.parametrize("data", ["nowhere", "siim:nowhere", "phantom:tubes", "table:nowhere.csv"])
def test_what_is_not_there_is_named(data: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no such file or folder; give FOLDER, .*phantom:drains"):
        dataset.settings_of(data, [], tmp_path)


@pytest.mark.parametrize(
    ("data", "more", "message"),
    [
        (
            "siim:labels.csv",
            {},
            r"--data siim:labels\.csv: labels\.csv is a file, not a folder; give FOLDER",
        ),
        ("labels.csv", {"preset": "nihh"}, "--set preset 'nihh': Input should be 'nih'"),
        ("labels.csv", {"presets": "nih"}, "--set presets: unknown key; did you mean `preset`"),
        ("labels.csv", {"columns": {"path": 3}}, r"--set columns\.path 3: Input should be a valid string"),
        ("labels.csv", {"columns.path": 3}, r"--set columns\.path 3: Input should be a valid string"),
        (
            "labels.csv",
            {"word": "x", "word.y": 3},
            r"--set word\.y=3: word is 'x', a value, not a section",
        ),
        (
            "folder:.",
            {"word": "x"},
            r"--data folder:\., --set word: word 'x' has no effect with source 'folder'",
        ),
        ("table:.", {}, r"--data table:\.: source 'table' needs table"),
    ],
)
def test_a_wrong_option_is_named_as_it_was_given(
    data: str, more: dict[str, object], message: str, csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(csv.parent)
    with pytest.raises(ValueError, match=f"^{message}"):
        dataset.settings_of(data, list(more.items()), csv.parent / "scratch")


def test_refused_files_stop_it_unless_allowed(csv: Path, tmp_path: Path) -> None:
    (csv.parent / "images" / "i0.png").write_bytes(b"damaged")
    settings = dataset.settings_of(str(csv), [], tmp_path)
    with pytest.raises(ValueError, match="1 of 6 images refused"):
        read(settings, tmp_path)
    found = dataset.read(settings, 32, tmp_path / "scratch", 0.2, "x")
    assert len(found.rejected) == 1
    assert len(found.prepared.index) == 5


def test_one_kind_alone_is_refused(csv: Path, tmp_path: Path) -> None:
    pd.read_csv(csv).assign(label=0).to_csv(csv, index=False)
    with pytest.raises(ValueError, match="6 images, 0 positive; both kinds are needed"):
        dataset.both_kinds(read(dataset.settings_of(str(csv), [], tmp_path), tmp_path))
