"""The same pictures and patients in several sources: SIIM-ACR's pictures under NIH's names, generated."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from imaging import prepare, split
from imaging.identity import siim_patients
from imaging.identity.films import film_of, painted_id
from imaging.identity.overlaps import nih_patient, owners
from imaging.prepared import Prepared
from imaging.settings import DataSettings, SplitSettings
from tests.imaging.conftest import picture, square


def test_the_nih_patient_of_an_id(monkeypatch):
    monkeypatch.setattr(siim_patients, "table", lambda: {siim_patients.hashed("1.2.276.1"): "00000013"})
    assert nih_patient("00000013_005") == "00000013"
    assert nih_patient("1.2.276.1") == "00000013"
    assert nih_patient("20210101_001") is None  # a date
    assert nih_patient("IMG0001") is None


def test_patients_of_two_sources_are_different_unless_the_nih_number_joins_them():
    origins = pd.DataFrame({"source": ["a", "a", "b", "b", "b"], "listed_by": ["patients.csv"] * 5})
    ids = ["a-x", "a-00000013_000", "b-y", "b-00000013_004", "b-00000014_000"]
    found = owners(ids, ["1", "2", "1", "3", None], [None] * 5, [], origins)
    assert found.ids == ["a:1", "a:2", "b:1", "a:2", "nih:00000014"]
    assert found.known == [True] * 5
    assert found.source == "a: patients.csv; b: patients.csv"
    assert "1 patients with different names have the same NIH patient number" in found.notes[0]


def test_a_painted_film_is_of_the_films_patient_in_any_source(monkeypatch):
    monkeypatch.setattr(siim_patients, "table", lambda: {siim_patients.hashed("1.2.276.1"): "00000013"})
    assert nih_patient("1.2.276.1-painted-4") == nih_patient("00000013_005-decoy-0") == "00000013"
    origins = pd.DataFrame(
        {"source": ["real", "real", "art", "art", "art"], "listed_by": ["patients.csv"] * 5}
    )
    ids = ["real-film", "real-other", "art-film-painted-7", "art-film-decoy-1", "art-x-painted-2"]
    found = owners(ids, ["1", "2", "1", "1", "2"], [None] * 5, [], origins)
    assert found.ids[0] == found.ids[2] == found.ids[3]
    assert len(set(found.ids)) == 3
    assert "a painted film is of its film's patient" in found.notes[0]


@pytest.mark.parametrize(
    ("image_id", "film"),
    [
        ("1.2.3-painted-0", "1.2.3"),
        ("a-decoy-12", "a"),
        ("a-painted-1-painted-2", "a-painted-1"),
        ("a-painted-", "a-painted-"),
        ("plain", "plain"),
    ],
)
def test_the_film_of_an_id(image_id, film):
    assert film_of(image_id) == film
    assert film_of(painted_id(image_id, 3, decoy=True)) == image_id


@pytest.fixture
def study(siim, tmp_path: Path):
    """SIIM-named pictures 0 to 11 as hold-out; NIH-named PNG files: copies of pictures 0 to 2, resized, brightened or as JPEG,
    another image of picture 3's patient, and pictures 100 to 119."""
    for number in range(12):
        siim.add(
            f"i{number:02}",
            square(number % 2 == 1),
            pixels=picture(number),
            patient=f"0000000{number % 10}_{number:03}.png",
        )
    siim.write_labels()
    nih = tmp_path / "nih"
    (nih / "images").mkdir(parents=True)
    rows = []

    def add(name: str, pixels: np.ndarray, label: int) -> None:
        cv2.imwrite(str(nih / "images" / name), pixels)
        rows.append((name, label, name[:8]))

    add("00000900_000.png", cv2.resize(picture(0), (96, 96), interpolation=cv2.INTER_CUBIC), 0)
    add("00000901_000.png", picture(1) + 20, 1)
    add("00000902_000.jpg", picture(2), 0)
    for number in range(100, 120):
        add(f"00000{number}_000.png", picture(number), number % 2)
    table = pd.DataFrame(rows, columns=["path", "label", "patient_id"])
    table["path"] = "images/" + table["path"]
    table.to_csv(nih / "labels.csv", index=False)
    return tmp_path


def settings(study: Path, **changes) -> DataSettings:
    sources = [
        {"name": "siim", "source": "siim", "folder": "siim", "role": "hold-out"},
        {"name": "nih", "source": "table", "folder": "nih", "table": "labels.csv", "weight": 0.5},
    ]
    return DataSettings(
        **{"source": "several", "folder": str(study), "image_size": 64, "sources": sources, **changes}
    )


def prepared(study: Path, **changes) -> Prepared:
    prepare.run(settings(study, **changes), study / "prepared", study / "reports")
    return Prepared(study / "prepared")


def test_nih_named_copies_of_siim_named_pictures_are_left_out_of_training(study):
    data = prepared(study)
    index = data.index.set_index("image_id")
    excluded = index.index[index["role"] == "excluded"].tolist()
    assert excluded == ["nih-00000900_000", "nih-00000901_000", "nih-00000902_000"]
    assert (index["role"] == "train").sum() == 20
    listed = pd.read_csv(study / "prepared" / "rejected.csv").set_index("input")["reason"]
    assert listed["nih-00000901_000"] == "OVERLAP: the same picture as siim-i01 of the hold-out"
    assert "3 training images overlap" in (study / "reports" / "dataset_card.md").read_text()
    split.run(SplitSettings(folds=2), study / "prepared", study / "reports")
    data = Prepared(study / "prepared")
    assert set(data.index["source"].iloc[data.fold_rows("holdout")]) == {"siim"}
    assert len(data.fold_rows("holdout")) == 12
    assert not set(excluded) & set(data.folds.index)
    assert data.shared_patients == 0
    assert "| nih | excluded | 3 |" in (study / "reports" / "folds.md").read_text()


def test_another_picture_of_a_hold_out_patient_is_left_out_by_the_nih_number(study):
    # patients.csv of the hold-out says 00000003 for picture 3: an NIH name
    path = study / "nih" / "labels.csv"
    cv2.imwrite(str(study / "nih" / "images" / "00000003_777.png"), picture(77))
    path.write_text(path.read_text() + "images/00000003_777.png,1,00000003\n")
    for old in (study / "siim").rglob("i03.dcm"):
        old.rename(old.with_name("00000003_003.dcm"))
    labels = study / "siim" / "train-rle.csv"
    labels.write_text(labels.read_text().replace("i03", "00000003_003"))
    known = study / "siim" / "patients.csv"
    known.write_text(known.read_text().replace("i03", "00000003_003"))
    prepared(study)
    listed = pd.read_csv(study / "prepared" / "rejected.csv").set_index("input")["reason"]
    assert listed["nih-00000003_777"] == "OVERLAP: the same patient as siim-00000003_003 of the hold-out"


def test_overlaps_that_are_kept_are_listed_all_the_same(study):
    data = prepared(study, overlaps="keep")
    assert (data.index["role"] == "train").sum() == 23
    assert (pd.read_csv(study / "prepared" / "rejected.csv")["reason"].str.startswith("OVERLAP")).sum() == 3


def test_external_images_are_in_no_fold(study):
    sources = [
        {"name": "siim", "source": "siim", "folder": "siim", "role": "external"},
        {"name": "nih", "source": "table", "folder": "nih", "table": "labels.csv"},
    ]
    prepared(study, sources=sources)
    split.run(SplitSettings(folds=2, holdout=0.3), study / "prepared", study / "reports")
    data = Prepared(study / "prepared")
    assert data.external
    assert len(data.fold_rows("external")) == 12
    assert len(data.folds) == 20


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sources": []}, "source 'several' needs sources"),
        ({"sources": [{"name": "a", "role": "external"}]}, "must have the role 'train'"),
        ({"sources": [{"name": "a"}, {"name": "a"}]}, "each must have a different name"),
        ({"sources": [{"name": "a", "folder": "../b"}]}, "must lie below data.folder"),
        ({"sources": [{"name": "a", "source": "several"}]}, "cannot be one of several"),
    ],
)
def test_settings_that_contradict_themselves_are_errors(changes, words):
    with pytest.raises(ValueError, match=words):
        DataSettings(**{"source": "several", **changes})
