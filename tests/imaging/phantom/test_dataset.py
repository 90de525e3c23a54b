"""The data set's layout and labels have SIIM-ACR's exact form."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pydicom
import pytest

from ensemble.gallery import phantoms
from imaging import rle
from imaging.phantom import __main__ as stage
from imaging.phantom import dataset
from imaging.settings import PhantomSettings

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR")
SETTINGS = PhantomSettings(train=20, test=3, prevalence=0.4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("phantom") / "data"
    dataset.write(path, SETTINGS, workers=1)
    return path


def rows(path: Path) -> list[tuple[str, str]]:
    lines = path.read_text().splitlines()[1:]
    return [(name, value) for name, value in (line.split(",", 1) for line in lines)]


def test_train_files_lie_under_study_and_series(folder: Path) -> None:
    files = list((folder / "dicom-images-train").glob("*/*/*.dcm"))
    assert len(files) == 20 + 2  # two without a row
    for path in files:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        assert (header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPInstanceUID) == (
            *path.parts[-3:-1],
            path.stem,
        )


def test_label_rows(folder: Path) -> None:
    text = (folder / "train-rle.csv").read_text()
    assert text.startswith("ImageId, EncodedPixels\n")
    labels = rows(folder / "train-rle.csv")
    assert all(value.startswith(" ") for _, value in labels)
    assert len({name for name, _ in labels}) == 20
    positive = {name for name, value in labels if value != " -1"}
    assert len(positive) == 8  # 0.4 of 20
    for _, value in labels:
        if value != " -1":
            assert rle.decode(value, (1024, 1024)).any()


def test_some_training_files_have_no_row(folder: Path) -> None:
    files = {path.stem for path in (folder / "dicom-images-train").glob("*/*/*.dcm")}
    labelled = {name for name, _ in rows(folder / "train-rle.csv")}
    assert labelled < files
    assert len(files - labelled) == 2


def test_header_fields_and_their_oddities(folder: Path) -> None:
    train = pydicom.dcmread(next((folder / "dicom-images-train").glob("*/*/*.dcm")))
    test = pydicom.dcmread(next((folder / "dicom-images-test").glob("*.dcm")))
    for header in (train, test):
        assert header.file_meta.TransferSyntaxUID == pydicom.uid.JPEGBaseline8Bit
        assert header.PhotometricInterpretation == "MONOCHROME2"
        assert (header.Rows, header.Columns, header.BitsStored) == (1024, 1024, 8)
        assert header.ViewPosition in ("PA", "AP")
        assert header.PatientAge.isdigit()
        assert header.QualityControlImage == "YES"  # says that it is a phantom
        assert header.pixel_array.shape == (1024, 1024)
    assert test.SOPInstanceUID.startswith("ID_")
    assert len(test.SOPInstanceUID) == 12
    assert (test.StudyInstanceUID, test.SeriesInstanceUID, test.PatientID) == ("", "", "")


def test_patient_ids_in_headers_group_nothing(folder: Path) -> None:
    files = list((folder / "dicom-images-train").glob("*/*/*.dcm"))
    assert len({pydicom.dcmread(path, stop_before_pixels=True).PatientID for path in files}) == len(files)


def test_patients_csv(folder: Path) -> None:
    with (folder / "patients.csv").open() as handle:
        table = list(csv.reader(handle))
    assert table[0] == ["Kaggle_ID", "NIH_ID"]
    assert {name for name, _ in table[1:]} == {name for name, _ in rows(folder / "train-rle.csv")}
    assert len({value for _, value in table[1:]}) == 20
    for _, value in table[1:]:
        patient, number = value.removesuffix(".png").split("_")
        assert len(patient) == 8
        assert patient.isdigit()
        assert len(number) == 3


def test_sample_submission_names_every_test_file(folder: Path) -> None:
    table = rows(folder / "sample_submission.csv")
    assert [value for _, value in table] == ["-1"] * 3
    assert {name for name, _ in table} == {path.stem for path in (folder / "dicom-images-test").iterdir()}


def test_writing_again_gives_the_same_bytes_whatever_the_workers(folder: Path, tmp_path: Path) -> None:
    dataset.write(tmp_path / "again", SETTINGS, workers=2)
    first = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    second = {
        path.relative_to(tmp_path / "again"): path.read_bytes()
        for path in (tmp_path / "again").rglob("*")
        if path.is_file()
    }
    assert first == second


def test_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.dcm").write_bytes(b"x")
    for name in ("mine.dcm", "README.txt"):  # many data sets have such a text
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(ValueError, match=r"exists already"):
            dataset.write(tmp_path, SETTINGS, workers=1)
    assert (tmp_path / "mine.dcm").exists()


def params(folder: Path, source: str) -> None:
    (folder / "params.yaml").write_text(
        f"data: {{source: {source}, folder: somewhere}}\nphantom: {{train: 20, test: 1}}\n"
    )


def test_stage_leaves_a_note_where_no_phantoms_are_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params(tmp_path, "siim")
    monkeypatch.chdir(tmp_path)
    stage.main()
    stage.main()  # a second run may replace its own note
    assert [path.name for path in (tmp_path / "data/phantom").iterdir()] == ["README.txt"]
    assert "somewhere" in (tmp_path / "data/phantom/README.txt").read_text()


def test_sheet_has_three_rows() -> None:
    picture = phantoms.sheet(PhantomSettings(train=20, test=1, prevalence=0.5), 1)
    assert picture.shape == (3 * phantoms.SIDE, phantoms.SIDE, 3)
    np.testing.assert_array_equal(
        picture[: 2 * phantoms.SIDE].min(2), picture[: 2 * phantoms.SIDE].max(2)
    )  # grey
    assert (
        picture[2 * phantoms.SIDE :].min(2) != picture[2 * phantoms.SIDE :].max(2)
    ).any()  # the outline is red
