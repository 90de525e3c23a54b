"""Certain studies become a table that the next run reads; each is labelled by the networks of one fold."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml

from ensemble import pseudo_label
from ensemble.decision.decision import Decision, Prediction
from ensemble.evidence.calibration import Sigmoid
from ensemble.evidence.probability import Calibrated
from experiments.settings.decision import PseudoLabelSettings
from imaging import rle
from imaging.prepared import Prepared
from imaging.settings import DataSettings
from imaging.sources import list_studies

SETTINGS = PseudoLabelSettings(positive=0.9, negative=0.1)


def prediction(prob: float, drawn: bool) -> Prediction:
    return Prediction(np.full((4, 4), drawn), prob, prob, 100, False, "")


@pytest.mark.parametrize(
    ("prob", "drawn", "has_masks", "verdict"),
    [
        (0.9, True, True, "positive"),
        (0.9, False, True, "uncertain"),  # sure of a pneumothorax, and cannot say where
        (0.9, False, False, "positive"),  # no segmentation networks
        (0.89, True, True, "uncertain"),
        (0.1, False, True, "negative"),
        (0.1, True, True, "uncertain"),
        (0.11, False, True, "uncertain"),
    ],
)
def test_probability_and_mask_must_agree(prob: float, drawn: bool, has_masks: bool, verdict: str) -> None:
    assert pseudo_label.certain(prediction(prob, drawn), SETTINGS, has_masks) == verdict


@pytest.fixture
def run(
    tiny_bundle: Path, make_world: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A finished run, whose decision is certain of every image and draws a mask, and three studies: two pictures and a damaged
    file."""
    monkeypatch.chdir(tmp_path)
    make_world(tmp_path)
    for stage in ("classification", "segmentation"):
        shutil.copytree(tiny_bundle / stage, tmp_path / "models" / stage)
    decision = Decision.load(tiny_bundle / "decision.json")
    facts = {**decision.fitted, "data_fingerprint": Prepared().fingerprint, "folds": [0]}
    sure = Sigmoid(kind="platt", slope=1.0, intercept=20.0)
    changes = {"fitted": facts, "calibrator": sure, "probability": Calibrated(calibrator=sure)}
    decision.model_copy(update=changes).save()
    studies = tmp_path / "studies" / "ward"
    studies.mkdir(parents=True)
    for number in (1, 2):
        cv2.imwrite(
            str(studies / f"{number}.png"), np.random.default_rng(number).integers(0, 255, (96, 80), np.uint8)
        )
    (studies / "3.png").write_bytes(b"no picture")
    return tmp_path


def labelled(monkeypatch: pytest.MonkeyPatch, **thresholds: float) -> None:
    Path("params.yaml").write_text(yaml.safe_dump({"pseudo_label": thresholds}))
    monkeypatch.setattr(sys, "argv", ["pseudo_label", "studies", "--output", "source"])
    pseudo_label.main()


def test_the_table_is_a_source_of_the_next_run(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labelled(monkeypatch)
    origin = json.loads((run / "source" / "pseudo_labels.json").read_text())
    assert origin["studies"] == {"positive": 2, "refused": 1}
    assert set(origin["networks"]) == {"classification/c", "segmentation/u"}
    table = pd.read_csv(run / "source" / "labels.csv", dtype={"image_id": str})
    assert set(table["fold"]) == {0}
    folds = pd.read_csv(run / "source" / "folds.csv", dtype=str)
    assert dict(zip(folds["image_id"], folds["fold"], strict=True)) == Prepared().folds.to_dict()
    found = list_studies(DataSettings(source="table", folder="source", table="labels.csv")).records
    assert list(found["image_id"]) == ["1", "2"]
    for row in found.itertuples():
        assert row.label == 1
        assert Path(row.path).is_file()
        rle.decode(row.rle, (96, 80))


def test_nothing_certain_writes_nothing(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (run / "studies").rglob("[12].png"):
        path.unlink()
    with pytest.raises(ValueError, match=r"no study is certain \(0 lie between .* 1 were refused\)"):
        labelled(monkeypatch)
    assert not (run / "source").exists()


def test_a_wrong_folder_or_output_is_told_before_anything_is_read(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(message: str, folder: str, output: str) -> None:
        monkeypatch.setattr(sys, "argv", ["pseudo_label", folder, "--output", output])
        with pytest.raises(ValueError, match=message):
            pseudo_label.main()

    Path("params.yaml").write_text("{}")
    monkeypatch.setattr(pseudo_label, "Prepared", None)
    refused("params.yaml: a file; name a folder", "params.yaml", "source")
    refused("studies: exists already; choose another folder", "studies", "studies")
    refused("params.yaml: exists already", "studies", "params.yaml")


def test_other_data_than_the_decisions_are_refused(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folds = run / "data/prepared/folds.csv"
    folds.write_text(folds.read_text().replace("holdout", "0", 1))
    with pytest.raises(ValueError, match="not fitted on the data now in data/prepared"):
        labelled(monkeypatch)


def test_folds_of_images_are_stable_and_all_are_used() -> None:
    decision = Decision.model_construct(fitted={"folds": [0, 1, 2]})
    found = [pseudo_label.fold_of(f"i{number}", decision) for number in range(300)]
    assert np.bincount(found).min() > 70
    assert found == [pseudo_label.fold_of(f"i{number}", decision) for number in range(300)]
