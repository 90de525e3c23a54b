from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest

from imaging import prepare, rle
from imaging.prepared import PatientRecord, Prepared
from imaging.settings import DataSettings


def square(height: int = 64, width: int = 64) -> str:
    """The code of a mask with its upper left quarter inside."""
    mask = np.zeros((height, width), np.uint8)
    mask[: height // 2, : width // 2] = 1
    return rle.encode(mask)


@pytest.fixture
def run(siim, tmp_path):
    """Write the labels and prepare the folder."""

    def _run(**changes):
        siim.write_labels()
        prepare.run(siim.settings(**changes), tmp_path / "prepared", tmp_path / "reports")
        return Prepared(tmp_path / "prepared")

    return _run


def test_an_image_keeps_its_pixels_facts_and_mask(siim, run):
    ramp = np.tile(np.arange(64, dtype=np.uint8), (96, 1))
    header = {"PatientSex": "F", "PatientAge": "045Y", "ViewPosition": "AP", "PixelSpacing": [5.0, 5.0]}
    siim.add("1.2.3", square(96, 64), pixels=ramp, **header)
    siim.add("1.2.4", "-1")
    siim.add("1.2.5", None)
    data = run()
    row = data.index.iloc[0]
    assert (row["height"], row["width"], row["area_px"], row["label"]) == (96, 64, 48 * 32, 1)
    assert (row["sex"], row["age"], row["view"], row["spacing_mm"]) == ("F", 45, "AP", 5.0)
    assert row["split"] == "train"
    assert data.images[0][0].tolist() == list(range(0, 64, 2))  # means of two, 0.5 rounded to the even one
    assert data.mask(0)[:16, :16].all()
    assert data.mask(0).sum() == 256
    assert data.index["label"].tolist() == [1, 0, pd.NA]
    assert data.index["area_px"].tolist() == [1536, 0, pd.NA]
    assert data.index["mask_row"].tolist() == [0, -1, -1]
    assert data.truth.to_dict() == {"1.2.3": square(96, 64), "1.2.4": "-1"}


def test_a_tiny_mask_is_kept(siim, run):
    mask = np.zeros((64, 64), np.uint8)
    mask[41, 7] = 1
    siim.add("a", rle.encode(mask))
    data = run(image_size=32)
    assert np.argwhere(data.mask(0)).tolist() == [[20, 3]]
    assert data.index["area_px"][0] == 1


def test_two_runs_write_the_same_bytes(siim, run, tmp_path):
    for number in range(20):
        siim.add(f"i{number}", square() if number % 3 else "-1")
    run()
    first = tmp_path / "first"
    shutil.copytree(tmp_path / "prepared", first)
    run()
    for path in first.iterdir():
        assert path.read_bytes() == (tmp_path / "prepared" / path.name).read_bytes()
    assert sorted(path.name for path in first.iterdir()) == [
        "boxes.csv",
        "images.npy",
        "index.parquet",
        "masks.npy",
        "patients.json",
        "rejected.csv",
        "truth.csv",
    ]


def broken(siim) -> None:
    siim.add("good", "-1")
    siim.add("good2", square())
    siim.add("cut", "-1").write_bytes(b"not a DICOM file")
    siim.add("outside", "0 5000")  # 64 x 64 are 4,096 pixels
    siim.add("contradiction", ["-1", "0 2"])


def test_refusals_stop_the_stage_unless_allowed(siim, run, tmp_path):
    broken(siim)
    with pytest.raises(ValueError, match="refused") as caught:
        run(refused_share=0.5)
    text = str(caught.value)
    assert "3 of 5 training inputs refused, more than data.refused_share 0.5 allows" in text
    assert "raise it to 0.600" in text
    listed = pd.read_csv(tmp_path / "prepared" / "rejected.csv").set_index("input")["reason"]
    assert len(listed) == 3
    assert "contradict" in listed["contradiction"]
    assert "past the 4096" in listed[listed.index.str.endswith("outside.dcm")].iloc[0]
    with pytest.raises(ValueError, match="no prepared data"):
        Prepared(tmp_path / "prepared")


def test_allowed_refusals_are_left_out_and_listed(siim, run, tmp_path):
    broken(siim)
    data = run(refused_share=0.6)
    assert data.index["image_id"].tolist() == ["good", "good2"]
    assert len(data.images) == 2
    assert data.mask(1).any()
    assert data.truth.index.tolist() == ["good", "good2"]
    assert len(pd.read_csv(tmp_path / "prepared" / "rejected.csv")) == 3


def test_nothing_left_is_an_error_whatever_is_allowed(siim, run):
    siim.add("outside", "0 5000")
    with pytest.raises(ValueError, match="1 of 1 training inputs refused, which leaves nothing"):
        run(refused_share=1)


def test_unlabelled_images_are_no_refusals(siim, run):
    siim.add("a", "-1")
    siim.add("b", None)
    assert run(refused_share=0).index["label"].isna().sum() == 1


def test_a_failed_run_invalidates_the_old_data(siim, run, tmp_path):
    siim.add("a", "-1")
    run()
    siim.add("b", "-1").write_bytes(b"junk")
    with pytest.raises(ValueError, match="1 of 2 training inputs refused"):
        run()
    with pytest.raises(ValueError, match="no prepared data"):
        Prepared(tmp_path / "prepared")


def test_leftovers_of_a_killed_run_go(siim, run, tmp_path):
    siim.add("a", "-1")
    (tmp_path / "prepared").mkdir()
    (tmp_path / "prepared" / ".images.4711.part.npy").write_bytes(b"half")
    run()
    assert not list((tmp_path / "prepared").glob(".*"))


def test_the_same_picture_under_two_ids_is_one_patient(siim, run, tmp_path):
    import cv2

    rng = np.random.default_rng(2)
    pictures = [cv2.resize(rng.integers(0, 255, (16, 16), np.uint8), (64, 64)) for _ in range(4)]
    for number, picture in enumerate([*pictures, pictures[1]]):
        siim.add(f"i{number}", "-1", pixels=picture, patient=f"p{number}")
    data = run()
    assert data.index["patient_id"].tolist() == ["p0", "p1", "p2", "p3", "p1"]
    assert "equal pictures" in (tmp_path / "reports" / "dataset_card.md").read_text()


def test_patient_ids_of_the_files_are_used_when_they_repeat(siim, run):
    for name, patient in [("a", "x"), ("b", "y"), ("c", "x"), ("d", "")]:
        siim.add(name, "-1", PatientID=patient)
    assert run().index["patient_id"].tolist() == ["x", "y", "x", "image:d"]


def test_a_folder_that_cannot_be_written_or_is_too_small(siim, tmp_path, monkeypatch):
    siim.add("a", "-1")
    siim.write_labels()
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be written"):
        prepare.run(siim.settings(), tmp_path / "file" / "prepared", tmp_path / "reports")
    small = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: small)
    with pytest.raises(ValueError, match=r"1 images and 0 masks of 32 px need .* lower data\.image_size"):
        prepare.run(siim.settings(), tmp_path / "prepared", tmp_path / "reports")


def test_index_has_the_documented_columns_and_types(siim, run, tmp_path):
    siim.add("a", "-1")
    data = run()
    index = pd.read_parquet(data.folder / "index.parquet")
    assert index.columns.tolist() == list(prepare.TYPES)
    assert {name: str(kind) for name, kind in index.dtypes.items()} == {
        name: kind.replace("string", str(index["image_id"].dtype)) for name, kind in prepare.TYPES.items()
    }
    pd.testing.assert_frame_equal(data.index, index)


def test_the_real_sample(real_siim, tmp_path):
    settings = DataSettings(source="siim", folder=str(real_siim), image_size=256)
    prepare.run(settings, tmp_path / "prepared", tmp_path / "reports")
    data = Prepared(tmp_path / "prepared")
    assert (len(data.index), int(data.index["label"].sum())) == (13, 7)
    assert data.index["patient_id"].nunique() == 13
    assert data.patients == PatientRecord("the built-in table of SIIM-ACR's ids", 13, 0)
    assert (data.index["height"] == 1024).all()
    # the detector's spacing at 1024 px would make every chest 142 to 199 mm wide: no spacing that can be true
    assert data.index["spacing_mm"].isna().all()
    for row in np.flatnonzero(data.index["label"] == 1):
        share = data.mask(row).mean() / (data.index["area_px"][row] / 1024**2)
        assert share == pytest.approx(1, abs=0.1)  # thin crescents lose a little
