from __future__ import annotations

import pickle
import shutil

import numpy as np
import pandas as pd
import pytest

from imaging import rle, split
from imaging.io.files import fingerprint
from imaging.prepared import Prepared
from imaging.settings import SplitSettings


@pytest.fixture
def folder(prepared_once):
    return prepared_once


@pytest.fixture
def own(prepared_once, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(prepared_once, tmp_path / "prepared")


def test_rows_images_masks_and_truth_belong_together(folder):
    data = Prepared(folder)
    assert data.size == 32
    assert data.images.shape == (13, 32, 32)
    assert data.index["image_id"].tolist() == [*(f"i{number:02}" for number in range(12)), "unlabelled"]
    assert data.rows(["i03", "i01"]).tolist() == [3, 1]
    assert data.mask(3).sum() == 10 * 11  # 20 x 20 at half the side; columns 3 to 22 fill half of 1 and of 11
    assert data.mask(2).shape == (32, 32)
    assert data.mask(1).sum() == 10 * 11
    assert not data.mask(2).any()
    assert not data.mask(12).any()
    assert len(data.truth) == 12
    assert data.truth["i02"] == "-1"
    assert rle.area(data.truth["i03"]) == 400


def test_images_cannot_be_written(folder):
    data = Prepared(folder)
    with pytest.raises(ValueError, match="read-only"):
        data.images[0, 0, 0] = 1


def test_folds(folder):
    data = Prepared(folder)
    assert set(data.folds) == {"holdout", "0", "1"}
    assert "unlabelled" not in data.folds.index
    together = np.concatenate([data.fold_rows("holdout"), data.fold_rows(0), data.fold_rows("1")])
    assert sorted(together) == list(range(12))
    with pytest.raises(ValueError, match=r"no fold 7; there are \['0', '1', 'holdout'\]"):
        data.fold_rows(7)


def test_pickling_carries_the_folder_alone(folder):
    data = Prepared(folder)
    assert data.images[0].any()
    sent = pickle.dumps(data)
    assert len(sent) < 500
    np.testing.assert_array_equal(pickle.loads(sent).images, data.images)


def test_faults_are_named(own, tmp_path):
    data = Prepared(own)
    with pytest.raises(ValueError, match="no image 'nobody'"):
        data.rows(["i01", "nobody"])
    with pytest.raises(ValueError, match=r"run `python -m imaging\.prepare`"):
        Prepared(tmp_path / "nowhere")
    (own / "folds.csv").write_text("image_id,patient_id,fold\ni01,p1,0\n")
    with pytest.raises(ValueError, match="its images are not those of index"):
        _ = data.folds
    (own / "folds.csv").unlink()
    with pytest.raises(ValueError, match=r"run `python -m imaging\.split`"):
        _ = Prepared(own).folds
    np.save(own / "images.npy", np.zeros((3, 32, 32), np.uint8))
    with pytest.raises(ValueError, match=r"3 rows, but index\.parquet says 13"):
        _ = Prepared(own).images


def _relabel(folder):
    index = pd.read_parquet(folder / "index.parquet")
    index.loc[12, "label"] = 0
    index.to_parquet(folder / "index.parquet")


def _redraw(folder):
    text = (folder / "truth.csv").read_text()
    (folder / "truth.csv").write_text(text.replace("64 20", "65 20", 1).replace("i05,320 20", "i05,320 21"))


def _refold(folder):
    split.run(SplitSettings(folds=2, seed=8), folder, folder / "reports")


def _other_file(folder):
    index = pd.read_parquet(folder / "index.parquet")
    index.loc[0, "sha256"] = "0" * 64
    index.to_parquet(folder / "index.parquet")


def test_fingerprint_is_of_the_table_as_plain_values(folder):
    data = Prepared(folder)
    rows = pd.read_parquet(folder / "index.parquet")[["image_id", "label", "sha256"]].astype(object)
    plain = rows.where(rows.notna(), None).values.tolist()
    folds = folder / "folds.csv"
    assert data.fingerprint == fingerprint(
        plain, folder / "truth.csv", data.size, folds if folds.is_file() else None
    )


@pytest.mark.parametrize("change", [_relabel, _redraw, _refold, _other_file])
def test_fingerprint_follows_the_data(folder, own, change):
    before = Prepared(folder).fingerprint
    assert Prepared(own).fingerprint == before
    change(own)
    assert Prepared(own).fingerprint != before
