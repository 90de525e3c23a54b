"""`dvc repro` and what is done with its bundle, without a classifier: one segmentation network with an image-level head."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ensemble.app import saliency, study
from ensemble.app.upload import Declined
from ensemble.inference.bundle import Bundle
from ensemble.inference.predictor import Predictor
from imaging.decoding.radiograph import to_uint8
from imaging.formats import reader
from imaging.prepared import Prepared
from tests.pipeline.tiny import TINY, Repository

pytestmark = pytest.mark.slow

PARAMS: dict[str, Any] = {
    **TINY,
    "phantom": {**TINY["phantom"], "train": 72},
    "classification": {"models": []},
    "segmentation": {  # so that the maps, and with them the probabilities, differ from image to image
        **TINY["segmentation"],
        "image_head": 0.3,
        "base_channels": 8,
        "epochs": 8,
        "validate_every": 8,
        "batch_size": 4,
        "lr": 0.01,
        "prior": None,
    },
    "tune_segmentation": {"trials": 0},
    "ensemble": {"rule": "best"},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    made = Repository.copy(tmp_path_factory.mktemp("alone"))
    made.params(PARAMS)
    made.run("dvc", "repro")
    made.run("python", "-m", "ensemble.predict", "data/phantom/dicom-images-test", "--output", "out")
    return made


def triage(made: Repository, folder: str = "out") -> pd.Series:
    table = pd.read_csv(made.root / folder / "triage.csv")
    return table.set_index(table["file"].map(lambda name: Path(name).stem))["probability"].sort_index()


def test_the_run_is_whole_and_says_that_there_is_no_classifier(finished: Repository) -> None:
    root = finished.root
    decision = json.loads((root / "models/ensemble/decision.json").read_text())
    assert (decision["classifiers"], decision["floor"]) == ({}, 0.0)
    assert list(decision["fitted"]["lineage"]) == ["segmentation/unet"]
    assert [path.name for path in (root / "models/classification").glob("*.*")] == ["models.json"]
    assert not (root / "models/bundle/classification").exists()
    for name, words in {
        "reports/ensemble/rules.md": "classifiers: none; the raw probability is the pooled mask evidence",
        "reports/evaluation/report/report.md": "There is no classifier: the mask models see every image.",
        "reports/evaluation/report/report.html": "no classifier (the probability is pooled from the masks)",
        "reports/summary.md": "AUROC: pooled mask evidence",
        "models/bundle/README.md": "AUROC, pooled mask evidence",
    }.items():
        assert words in (root / name).read_text(encoding="utf-8"), name
    assert finished.changed() == set()


def test_every_consumer_has_the_same_probability(finished: Repository) -> None:
    found = triage(finished)
    studies = pd.read_csv(finished.root / "reports/submission/studies.csv").set_index("image_id")["prob"]
    assert len(found) == 5
    assert found.nunique() > 2
    assert np.allclose(found, studies.loc[found.index], atol=1e-4)
    made = Bundle.load(finished.root / "models/bundle").predictor()
    for path in (finished.root / "data/phantom/dicom-images-test").rglob(
        "*.dcm"
    ):  # as the page's worker does
        radiograph = reader.read(path, made.side)
        outputs = study.Outputs(*made.outputs(made.prepare(to_uint8(radiograph.pixels))))
        again = study.Outputs.unpack(*outputs.pack())
        answer = study.read(made.decision, path, radiograph.facts, again, "")
        assert answer["prob"] == pytest.approx(found[path.stem], abs=1e-4)
    with pytest.raises(Declined, match="no classifier"):
        saliency.heat(made, np.zeros((made.side, made.side), np.uint8))


def test_the_bundle_predicts_the_hold_out_as_it_was_evaluated(finished: Repository) -> None:
    table = pd.read_csv(finished.root / "reports/evaluation/report/per_image.csv").set_index("image_id")
    with contextlib.chdir(finished.root):
        prepared, made = Prepared(), Predictor.load()
        rows = prepared.rows(list(table.index))
        shapes = [
            (int(height), int(width))
            for height, width in prepared.index[["height", "width"]].iloc[rows].to_numpy()
        ]
        found = made.predict([np.asarray(prepared.images[row]) for row in rows], shapes)
    assert made.segmented == len(table)
    assert table["raw"].nunique() > len(table) / 2
    assert np.allclose(table["raw"], [one.raw for one in found], atol=1e-3)
    assert np.allclose(table["prob"], [one.prob for one in found], atol=1e-3)


def test_other_runtimes_and_the_figures(finished: Repository) -> None:
    finished.run("python", "-m", "ensemble.onnx_export")
    finished.run(
        "python", "-m", "ensemble.predict", "data/phantom/dicom-images-test", "--output", "onnx", "--onnx"
    )
    assert np.allclose(triage(finished), triage(finished, "onnx"), atol=2e-3)
    finished.run(
        "python", "-m", "ensemble.gallery", "cascade", "networks", "reliability", "--output", "figures"
    )
    assert {path.stem for path in (finished.root / "figures").iterdir()} == {
        "cascade",
        "networks",
        "reliability",
    }


def test_a_validation_recalibrates_it(finished: Repository) -> None:
    data = ["--data", "siim:data/phantom", "--recalibrate", "--refit-decision"]
    finished.run("python", "-m", "ensemble.validate", *data, "--output", "validated")
    report = (finished.root / "validated/report.md").read_text(encoding="utf-8")
    assert "AUROC, pooled mask evidence" in report
    decision = json.loads((finished.root / "validated/bundle/decision.json").read_text())
    assert (decision["classifiers"], decision["floor"]) == ({}, 0.0)


def test_the_plan_counts_no_classifier(finished: Repository) -> None:
    text = finished.run("python", "-m", "experiments.plan")
    assert "unet" in text
    assert "classification" not in text
