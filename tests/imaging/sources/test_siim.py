from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from imaging import rle
from imaging.settings import DataSettings
from imaging.sources import list_studies
from imaging.sources.siim import read_labels, submission_ids, unite

# Counted in the competition's public stage_2_train.csv.
ROWS, IMAGES, POSITIVE, SEVERAL, OVERLAPPING = 12_954, 12_047, 2_669, 624, 183


def records(folder, **changes):
    return list_studies(folder.settings(**changes)).records.set_index("image_id")


def test_nested_and_flat_files_and_their_labels(siim):
    siim.add("1.2.3", "0 2", where="dicom-images-train/a/b")
    siim.add("1.2.4", "-1", where="dicom-images-train")
    siim.add("1.2.5", None, where="dicom-images-train/c/d")
    siim.add("ID_9", None, where="dicom-images-test")
    siim.write_labels()
    found = records(siim)
    assert found["rle"].to_dict() == {"1.2.3": "0 2", "1.2.4": "-1", "1.2.5": None, "ID_9": None}
    assert found["split"].to_dict() == {"1.2.3": "train", "1.2.4": "train", "1.2.5": "train", "ID_9": "test"}
    assert all(Path(path).is_file() for path in found["path"])
    assert found["patient_id"].isna().all()


@pytest.mark.parametrize(
    "text",
    [
        "ImageId, EncodedPixels\na, -1\nb,0 2\n",
        "ImageId,EncodedPixels\r\na,-1\r\nb,0 2\r\n",
        "\ufeffImageId,EncodedPixels\na,-1\nb,0 2\n",
        "ImageId;EncodedPixels\na;-1\nb;0 2\n",
        '"ImageId","EncodedPixels"\n"a"," -1"\n"b"," 0 2 "\n\n',
        "number,EncodedPixels,ImageId\n0,-1,a\n1,0 2,b\n",
    ],
    ids=["stage 1", "CRLF", "byte-order mark", "semicolons", "quotes and blanks", "other columns"],
)
def test_label_files_in_many_forms(tmp_path, text):
    path = tmp_path / "train-rle.csv"
    path.write_bytes(text.encode())
    labels, rejected, _ = read_labels(path)
    assert labels == {"a": "-1", "b": "0 2"}
    assert rejected == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ImageId,Pixels\na,-1\n", "column 'EncodedPixels' is missing; the file has 'ImageId', 'Pixels'"),
        (b"ImageId,EncodedPixels\n", "no rows"),
        (b"", "not a CSV table"),
        ("ImageId,EncodedPixels\na,-1\n".encode("utf-16"), "not UTF-8"),
    ],
)
def test_label_files_that_are_none(tmp_path, content, message):
    path = tmp_path / "train-rle.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"train-rle\.csv") as caught:
        read_labels(path)
    assert message in str(caught.value)


def test_rows_of_one_image_are_united(siim):
    siim.add("a", ["0 3", "2 4", "10 1"])  # pixels 0-2, 2-5 (one of them twice) and 10
    siim.write_labels()
    assert records(siim).loc["a", "rle"] == "0 6 4 1"


@settings(max_examples=50)
@given(hnp.arrays(np.bool_, (3, 7, 5)))
def test_unite_is_the_union_whatever_the_size(masks):
    codes = [rle.encode(mask) for mask in masks if mask.any()]
    if codes:
        assert unite(codes) == rle.encode(masks.any(axis=0))


def test_faults_of_labels_are_rejected_with_reasons(siim):
    siim.add("both", ["-1", "0 2"])
    siim.add("odd", "0 2 5")
    siim.add("empty", "")
    siim.add("fine", "0 2")
    siim.rows.append(("lost", "-1"))
    siim.write_labels()
    listing = list_studies(siim.settings())
    reasons = listing.rejected.set_index("input")["reason"]
    assert set(reasons.index) == {"both", "odd", "empty", "lost"}
    assert "contradict" in reasons["both"]
    assert "pairs of gap and length" in reasons["odd"]
    assert "an empty mask is written -1" in reasons["empty"]
    assert "no file lost.dcm" in reasons["lost"]
    assert listing.records["image_id"].tolist() == ["fine"]


def test_a_second_file_of_an_id_is_rejected(siim):
    siim.add("a", "-1", where="dicom-images-train/first")
    siim.add("a", None, where="dicom-images-train/second")
    siim.write_labels()
    listing = list_studies(siim.settings())
    assert len(listing.records) == 1
    assert "second file of the id a" in listing.rejected["reason"][0]


def test_other_files_are_skipped_and_listed_and_hidden_ones_are_not(siim):
    siim.add("a", "-1")
    (siim.path / "dicom-images-train" / "._a.dcm").write_bytes(b"a macOS resource fork")
    (siim.path / "dicom-images-train" / "notes.txt").write_text("x")
    siim.write_labels()
    listing = list_studies(siim.settings())
    assert len(listing.records) == 1
    assert listing.rejected.empty
    assert listing.skipped["reason"].tolist() == ["not an image (.txt)"]
    assert "1 files skipped, listed in rejected.csv: notes.txt (not an image (.txt))." in listing.notes


def test_stage_2_labels_stage_1s_test_files(siim):
    siim.add("1.1", "-1")
    siim.add("1.2", "0 2", where="dicom-images-test")
    siim.add("1.3", None, where="dicom-images-test")
    siim.add("ID_7", None, where="stage_2_images")
    siim.write_labels("stage_2_train.csv", "ImageId,EncodedPixels")
    (siim.path / "train-rle.csv").write_text("ImageId, EncodedPixels\n1.1, 0 5\n")
    found = records(siim)
    assert found["split"].to_dict() == {"1.1": "train", "1.2": "train", "1.3": "train", "ID_7": "test"}
    assert found.loc["1.1", "rle"] == "-1"  # stage 2's file counts, stage 1's is not read


def test_a_labelled_file_is_for_training_even_without_stage_2_images(siim):
    siim.add("1.1", "-1")
    siim.add("1.2", "0 2", where="dicom-images-test")
    siim.add("1.3", None, where="dicom-images-test")
    siim.write_labels("stage_2_train.csv")
    assert records(siim)["split"].to_dict() == {"1.1": "train", "1.2": "train", "1.3": "test"}


def test_patients_come_with_the_records(siim, tmp_path):
    siim.add("a", patient="00000007_001.png")
    siim.add("b", patient="Mrs B")
    siim.add("c")
    siim.write_labels()
    assert records(siim)["patient_id"].to_dict() == {"a": "00000007", "b": "Mrs B", "c": None}
    other = tmp_path / "who.csv"
    other.write_text("id,who\na,x\n")
    assert records(siim, patients=str(other))["patient_id"].to_dict() == {"a": "x", "b": None, "c": None}


@pytest.mark.parametrize(
    ("source", "message"),
    [("siim", "no such folder; set `data.folder`"), ("phantom", "run `python -m imaging.phantom` first")],
)
def test_missing_folder(siim, source, message):
    with pytest.raises(ValueError, match=r"data\.folder") as caught:
        list_studies(siim.settings(source=source))
    assert message in str(caught.value)


def test_missing_labels_and_missing_files(siim):
    siim.add("ID_1", None, where="dicom-images-test")
    with pytest.raises(ValueError, match=r"stage_2_train\.csv nor train-rle\.csv"):
        list_studies(siim.settings())
    siim.rows.append(("a", "-1"))
    siim.write_labels()
    with pytest.raises(ValueError, match=r"no \.dcm file"):
        list_studies(siim.settings())


def test_submission_ids_do_not_carry_the_counts(siim):
    siim.path.mkdir()
    assert submission_ids(siim.path) is None
    (siim.path / "sample_submission.csv").write_text("ImageId,EncodedPixels\nb,-1\na,-1\nb,-1\n")
    assert submission_ids(siim.path) == ["b", "a"]
    (siim.path / "stage_2_sample_submission.csv").write_text("ImageId,EncodedPixels\nID_1,-1\n")
    assert submission_ids(siim.path) == ["ID_1"]


def test_the_public_label_file(real_siim):
    path = real_siim / "labels" / "train-rle-full.csv"
    labels, rejected, notes = read_labels(path)
    assert not rejected
    assert len(labels) == IMAGES
    assert sum(code != "-1" for code in labels.values()) == POSITIVE
    assert f"{ROWS:,} rows, {IMAGES:,} images; {SEVERAL} with" in notes[0]

    table = pd.read_csv(path, skipinitialspace=True)
    rows = table[table["EncodedPixels"].str.strip() != "-1"].groupby("ImageId")["EncodedPixels"].agg(list)
    overlapping = sum(
        sum(map(rle.area, map(str.strip, codes))) > rle.area(labels[image_id])
        for image_id, codes in rows.items()
        if len(codes) > 1
    )
    assert overlapping == OVERLAPPING


def test_every_real_mask_survives_a_round_trip(real_siim):
    labels, _, _ = read_labels(real_siim / "labels" / "train-rle-full.csv")
    for code in labels.values():
        assert rle.encode(rle.decode(code, (1024, 1024))) == code


def test_the_real_sample(real_siim):
    patients = str(real_siim / "labels" / "patients.csv")
    listing = list_studies(DataSettings(source="siim", folder=str(real_siim), patients=patients))
    train = listing.records[listing.records["split"] == "train"]
    assert len(train) == 13
    assert (train["rle"] != "-1").sum() == 7
    assert train["patient_id"].str.fullmatch(r"\d{8}").all()
    assert (listing.records["split"] == "test").sum() == 40
    assert set(submission_ids(real_siim)) == set(
        listing.records.loc[listing.records["split"] == "test", "image_id"]
    )
