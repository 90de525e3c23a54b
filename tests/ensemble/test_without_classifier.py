"""Fit and evaluation where segmentation networks alone decide: `classification.models: []`."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from ensemble import evaluate, fit, summary
from ensemble.decision.decision import Decision
from ensemble.evaluation.checklists import facts
from ensemble.evaluation.report import METRICS, REPORT
from ensemble.evaluation.wording import POOLED
from ensemble.evidence.gather import gather, maps_of_images
from ensemble.evidence.predictions import read
from ensemble.rules import RULES
from experiments.settings.decision import EnsembleSettings, EvaluationSettings
from imaging.prepared import Prepared

FAST = EvaluationSettings(draws=100, examples=3)
NAMES: dict[str, list[str]] = {"classification": [], "segmentation": ["u", "v"]}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, make_world) -> Path:
    """A folder without any prediction of a classifier, with a decision and its evaluation."""
    root = tmp_path_factory.mktemp("alone")
    make_world(root)
    shutil.rmtree(root / "predictions/classification")
    params = Path("params.yaml").read_text(encoding="utf-8")
    (root / "params.yaml").write_text(params)
    with contextlib.chdir(root):
        fit.run(
            EnsembleSettings(average="centred"), FAST, NAMES
        )  # nested, the maps change from group to group
        evaluate.run(FAST, "patient")
    return root


@pytest.fixture(autouse=True)
def here(evaluated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(evaluated)


def test_the_decision_has_no_classifier_and_skips_nothing() -> None:
    decision = Decision.load()
    assert (decision.classifiers, decision.floor, decision.lower_bound()) == ({}, 0.0, 0.0)
    assert {path.stem for path in Path("models/ensemble/rules").iterdir()} == set(RULES)
    assert sorted(decision.fitted["lineage"]) == ["segmentation/u", "segmentation/v"]
    stacked = [decision.probability.regression.features] if decision.probability.kind == "stacked" else []
    assert all("mask_top" not in features for features in stacked)
    table = pd.read_csv(REPORT / "per_image.csv")
    assert not table["skipped"].any()
    oof = pd.read_csv("reports/ensemble/out_of_fold.csv")
    assert roc_auc_score(oof["label"], oof["raw"]) > 0.75  # positives of this world have higher maps


def test_prediction_has_the_numbers_of_the_evaluation() -> None:
    decision, prepared, found = Decision.load(), Prepared(), read("holdout", [], ["u", "v"])
    cases = gather(found, {}, decision.masks, prepared, "masks")
    raw = dict(zip(cases.image_id, cases.evidence.raw, strict=True))
    prob = dict(zip(cases.image_id, decision.seen(cases.evidence).prob, strict=True))
    assert len(raw) == 40
    assert len(set(raw.values())) > 30
    for image_id, maps in maps_of_images(found):
        probs = {
            name: one.table.loc[one.table["image_id"] == image_id, "prob"].tolist()
            for name, one in found.segmentation.items()
        }
        answer = decision.predict(probs, maps, (64, 64))
        assert answer.raw == pytest.approx(raw[image_id], abs=1e-15)
        assert answer.prob == pytest.approx(prob[image_id], abs=1e-12)
        assert not answer.skipped


def test_every_word_is_of_pooled_mask_evidence() -> None:
    report = (REPORT / "report.md").read_text(encoding="utf-8")
    rules = Path("reports/ensemble/rules.md").read_text(encoding="utf-8")
    assert f"| measure | {' | '.join(POOLED.values())} |" in report
    assert "There is no classifier: the mask models see every image." in report
    assert "classifiers: none; the raw probability is the pooled mask evidence" in rules
    assert "no cascade: without classifiers the mask models see every image" in rules
    assert "| pooled mask evidence | expected calibration error" in rules
    for text in (report, rules):
        assert "classifier ensemble" not in text
        assert "classifier, calibrated" not in text
        assert " nan" not in text
    known = facts.of_networks(Decision.load())
    assert known["networks"].startswith(
        "no classifier (the probability is pooled from the masks); segmentation u, v"
    )
    assert known["pretrained"].startswith("Segmentation: ")
    page = (REPORT / "report.html").read_text(encoding="utf-8")
    assert "no classifier (the probability is pooled from the masks)" in page


def test_the_summary_names_it() -> None:
    metrics = json.loads(METRICS.read_text())
    studies = pd.DataFrame({"area_px": [0, 5], "verdict": ["read", "read"]})
    text = summary.describe(metrics, studies, "siim", "b", 1, classifiers=False)
    assert "AUROC: pooled mask evidence" in text
    assert "AUROC: classifier" not in text
    assert "AUROC: classifier" in summary.describe(metrics, studies, "siim", "b", 1)


def test_numbers_are_those_of_the_raw_probability() -> None:
    metrics = json.loads(METRICS.read_text())
    table = pd.read_csv(REPORT / "per_image.csv")
    assert metrics["auroc_classifier"]["value"] == pytest.approx(
        roc_auc_score(table["label"], table["raw"]), abs=0.005
    )
    assert np.all((table["raw"] > 0) & (table["raw"] < 1))
