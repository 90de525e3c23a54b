"""Kaggle's layout from label file to folds: patients of SIIM-ACR's own ids are built in, those of other ids are unknown."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from imaging import prepare, split
from imaging.io.tables import read_csv
from imaging.settings import SplitSettings
from tests.imaging.conftest import SiimFolder

IMAGES = 240
WARNING = "patients unknown: split and intervals are by image"


def fill(siim: SiimFolder, ids: list[str]) -> None:
    """Tiny random pictures under these ids, every third one positive."""
    for number, image_id in enumerate(ids):
        siim.add(image_id, "100 5" if number % 3 == 0 else "-1")
    siim.write_labels()


def run(siim: SiimFolder, folder: Path, **choices: str) -> pd.DataFrame:
    prepare.run(siim.settings(), folder, folder)
    split.run(SplitSettings(folds=3, **choices), folder, folder)  # type: ignore[arg-type]
    return pd.read_csv(folder / "folds.csv", dtype=str).set_index("image_id")


def test_no_patient_of_the_real_ids_is_torn(siim: SiimFolder, tmp_path: Path, real_siim: Path) -> None:
    """Without a patients.csv, checked against the published one; a third of its patients have several of these images."""
    labelled = set(read_csv(real_siim / "labels" / "train-rle-full.csv")["ImageId"])
    published = pd.read_csv(real_siim / "labels" / "patients.csv", dtype=str).set_axis(
        ["image", "name"], axis=1
    )
    published = published[published["image"].isin(labelled)].assign(
        patient=lambda table: table["name"].str[:8]
    )
    chosen = published.sort_values(["patient", "image"]).head(IMAGES).set_index("image")
    fill(siim, list(chosen.index))
    folds = run(siim, tmp_path / "out")
    assert len(folds) == IMAGES
    patient = chosen["patient"].reindex(folds.index)
    assert patient.nunique() < IMAGES * 0.7
    assert folds["fold"].groupby(patient).nunique().max() == 1
    assert set(folds["fold"]) == {"holdout", "0", "1", "2"}
    assert WARNING not in (tmp_path / "out" / "dataset_card.md").read_text()


def test_unknown_ids_are_refused_unless_taken_by_image(
    siim: SiimFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reports that follow repeat the warning: tests/pipeline/test_sources.py."""
    fill(siim, [f"1.2.840.99.{number}" for number in range(30)])
    with pytest.raises(ValueError, match=r"patients unknown.*split\.unknown_patients: by_image"):
        run(siim, tmp_path / "refused")
    assert not (tmp_path / "refused" / "folds.csv").exists()
    assert len(run(siim, tmp_path / "out", unknown_patients="by_image")) == 30
    for report in ("dataset_card.md", "folds.md"):
        assert f"**Warning: {WARNING}.**" in (tmp_path / "out" / report).read_text()
    assert WARNING in capsys.readouterr().err
