"""Nothing that names a patient leaves a header: planted values are looked for in all that is written and printed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ensemble import predict, submit
from ensemble.inference.bundle import Bundle
from imaging import prepare
from imaging.decoding.radiograph import RefusedFile
from imaging.formats import reader
from tests.imaging import dicom_files
from tests.imaging.conftest import SiimFolder

PLANTED = {
    "PatientName": "Plantedname^Quilla",
    "PatientID": "PLANTED-ID-4711",
    "PatientBirthDate": "19370405",
    "PatientAddress": "Plantedstreet 12",
    "OtherPatientIDs": "PLANTED-OTHER-0815",
    "AccessionNumber": "PLANTEDACC99",
    "StudyDate": "20190302",
    "StudyDescription": "Plantedstudy",
    "InstitutionName": "Plantedhospital",
    "ReferringPhysicianName": "Planteddoctor^Ada",
    "StationName": "PLANTEDSTATION",
    "PatientComments": "Plantedcomment",
}


@pytest.fixture
def siim(tmp_path: Path) -> SiimFolder:
    return SiimFolder(tmp_path / "siim")


SIGNS = [value.encode() for value in PLANTED.values()]


def planted_in(folder: Path) -> dict[str, list[bytes]]:
    """File -> planted values that its bytes, or a table's cells, hold."""
    found = {}
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        data = path.read_bytes()
        if path.suffix == ".parquet":  # compressed
            data = pd.read_parquet(path).to_csv().encode()
        if signs := [sign for sign in SIGNS if sign in data]:
            found[path.name] = signs
    return found


def radiograph(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (64, 64), np.uint8)


def test_the_search_finds_what_is_planted(tmp_path: Path) -> None:
    dicom_files.write(tmp_path / "a.dcm", radiograph(0), **PLANTED)
    assert set(planted_in(tmp_path)["a.dcm"]) == set(SIGNS)


def test_preparation(siim: SiimFolder, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for number in range(4):
        siim.add(f"1.2.{number}", patient=f"p{number}", **PLANTED)
    cut = siim.add("1.2.9", **PLANTED)
    cut.write_bytes(cut.read_bytes()[:-500])
    siim.write_labels()
    prepare.run(siim.settings(refused_share=0.5), tmp_path / "prepared", tmp_path / "reports")
    assert planted_in(tmp_path / "reports") == {}
    assert planted_in(tmp_path / "prepared") == {}
    said = "".join(capfd.readouterr())
    assert not [sign for sign in SIGNS if sign.decode() in said]


def test_a_repeated_patient_id_groups_and_is_shown_nowhere(siim: SiimFolder, tmp_path: Path) -> None:
    """Without patients.csv the header's PatientID groups images where it repeats: in the index alone, which is never shown."""
    for number in range(4):
        siim.add(f"1.2.{number}", **{**PLANTED, "PatientID": f"PLANTED-ID-{number // 2}"})
    siim.write_labels()
    prepare.run(siim.settings(), tmp_path / "prepared", tmp_path / "reports")
    assert pd.read_parquet(tmp_path / "prepared/index.parquet")["patient_id"].nunique() == 2
    assert not [
        path
        for path in (tmp_path / "reports").rglob("*")
        if path.is_file() and b"PLANTED-ID" in path.read_bytes()
    ]


def test_predictions(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        dicom_files.write(folder / f"{number}.dcm", radiograph(number), **PLANTED)
    damaged = dicom_files.write(folder / "damaged.dcm", radiograph(9), **PLANTED)
    damaged.write_bytes(damaged.read_bytes()[:-2000])
    command = ["predict", str(folder), "--output", str(tmp_path / "out"), "--bundle", str(tiny_bundle)]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit):
        predict.main()
    names = planted_in(tmp_path / "out")
    # a DICOM object belongs to the patient of its study and says so, as DICOM demands; nothing else does
    assert [name for name in names if not name.endswith(".dcm")] == []
    assert len(pd.read_csv(tmp_path / "out/triage.csv")) == 4
    said = "".join(capfd.readouterr())
    assert not [sign for sign in SIGNS if sign.decode() in said]


def test_submissions(tiny_bundle: Path, tmp_path: Path) -> None:
    path = dicom_files.write(tmp_path / "a.dcm", radiograph(0), **PLANTED)
    table = submit.score(Bundle.load(tiny_bundle).predictor(), {"a": path})
    submit.write(table, tmp_path / "out" / "submission.csv", tmp_path / "out" / "studies.csv")
    assert planted_in(tmp_path / "out") == {}


def test_refusals_and_facts(tmp_path: Path) -> None:
    path = dicom_files.write(tmp_path / "a.dcm", radiograph(0), **PLANTED)
    assert not [sign for sign in SIGNS if sign.decode() in repr(reader.read(path).facts)]
    data = path.read_bytes()
    for cut in range(150, len(data), 97):
        path.write_bytes(data[:cut])
        with pytest.raises(RefusedFile) as caught:
            reader.read(path)
        assert not [sign for sign in SIGNS if sign.decode() in str(caught.value)]
