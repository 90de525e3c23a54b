"""`dvc repro` from generated files to a submission, in a copy of the repository, at the smallest size that has every part."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from imaging import rle
from tests.pipeline.tiny import TINY, Repository

METRICS = {
    "kaggle_dice", "tnr", "dice_positive", "prevalence", "all_empty", "auroc", "average_precision", "ece",
    "sensitivity_at_95_specificity", "iou_positive",
}  # fmt: skip
KEYS = ("low", "value", "high")


def test_the_holdout_is_measured_with_intervals(repository: Repository) -> None:
    metrics = json.loads((repository.root / "reports/evaluation/metrics.json").read_text())
    assert set(metrics) >= METRICS
    assert all(set(metrics[name]) == set(KEYS) for name in METRICS)
    assert metrics["all_empty"]["value"] == pytest.approx(1 - metrics["prevalence"]["value"])
    parts = metrics["prevalence"]["value"], metrics["tnr"]["value"], metrics["dice_positive"]["value"]
    assert metrics["kaggle_dice"]["value"] == pytest.approx((1 - parts[0]) * parts[1] + parts[0] * parts[2])


def test_the_submission_has_each_test_study_once(repository: Repository) -> None:
    found = pd.read_csv(repository.root / "submission.csv", dtype=str)
    sample = pd.read_csv(repository.root / "data/phantom/sample_submission.csv", dtype=str)
    assert list(found["ImageId"]) == list(sample["ImageId"])
    assert len(found) == 5
    for code in found["EncodedPixels"]:
        rle.decode(code, (1024, 1024))


def test_the_summary_says_what_and_where(repository: Repository) -> None:
    text = (repository.root / "reports/summary.md").read_text()
    for words in (
        "Kaggle Dice",
        "if every mask were empty",
        "phantoms, not patients",
        "report.md",
        "mlflow ui",
        "not for diagnosis",
    ):
        assert words in text
    assert (repository.root / "reports/evaluation/report/report.md").is_file()


def test_the_figures_of_the_documents_are_drawn_from_a_run(repository: Repository) -> None:
    repository.run("python", "-m", "ensemble.gallery", "--output", "drawn")
    drawn = {path.name: path.stat().st_size for path in (repository.root / "drawn").iterdir()}
    pages = [
        Path(f"docs/{name}.md").read_text() for name in ("data", "models", "decision-explained", "decision")
    ]
    shown = re.findall(r"\(figures/([\w-]+\.png)\)", "".join(pages))
    assert len(shown) > 10
    assert set(drawn) >= set(shown)
    assert max(drawn.values()) <= 300 * 1024


def test_a_second_run_only_lists_the_inputs(repository: Repository) -> None:
    assert repository.executed() == ["inputs"]


def test_mlflow_names_stage_model_and_fold(repository: Repository) -> None:
    client = MlflowClient(tracking_uri=f"sqlite:///{repository.root / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("pneumothorax").experiment_id])
    stages = [run for run in runs if run.data.tags["stage"] not in ("pipeline", "register")]
    names = sorted(run.info.run_name.partition(" (")[0] for run in stages)
    wanted = [
        f"train_{stage} {model} fold {fold}"
        for stage, model in (("classification", "small"), ("segmentation", "unet"))
        for fold in (0, 1)
    ]
    wanted += [
        "evaluate",
        "fit_ensemble",
        "tune_segmentation",
        "tune_segmentation trial 0",
        "tune_segmentation trial 1",
    ]
    assert names == sorted(wanted)
    assert {run.info.status for run in runs} <= {"FINISHED", "KILLED"}
    (whole,) = (run for run in runs if run.data.tags["stage"] == "pipeline")
    (register,) = (run for run in runs if run.data.tags["stage"] == "register")
    assert register.data.tags["mlflow.parentRunId"] == whole.info.run_id


def test_the_tuned_values_reach_the_training(repository: Repository) -> None:
    best = json.loads((repository.root / "reports/tuning/segmentation/best.json").read_text())
    facts = json.loads((repository.root / "models/segmentation/unet/fold0.json").read_text())
    assert set(best["values"]) == {"lr", "gamma"}
    assert {key: facts["settings"][key] for key in best["values"]} == best["values"]


@pytest.mark.parametrize(
    ("section", "change", "stages"),
    [
        ("ensemble", {"rule": "triplet"}, {"params", "fit_ensemble"}),
        ("evaluation", {"draws": 300}, {"params", "fit_ensemble", "evaluate"}),
        (
            "segmentation",
            {**TINY["segmentation"], "lr": 0.01},
            {"params", "encoder_transfer", "train_segmentation", "evaluate"},
        ),
        ("tune_segmentation", {"trials": 0}, {"params", "tune_segmentation"}),
        ("split", {**TINY["split"], "seed": 1}, {"params", "split", "evaluate"}),
    ],
)
def test_a_changed_setting_touches_its_own_stages(
    repository: Repository, section: str, change: dict[str, Any], stages: set[str]
) -> None:
    repository.params({**TINY, section: change})
    try:
        # a bundle holds the whole params.yaml; a check hands on the same words whatever it checked
        assert repository.changed() - {"export", "check"} == stages
    finally:
        repository.params(TINY)


def test_a_folder_of_pictures_is_scored_and_every_file_gets_a_verdict(
    repository: Repository, tmp_path: Path
) -> None:
    import cv2
    import numpy as np

    cv2.imwrite(str(tmp_path / "a picture.png"), np.full((80, 60), 90, np.uint8))
    (tmp_path / "sub").mkdir()
    shutil.copy(
        next((repository.root / "data/phantom/dicom-images-test").glob("*.dcm")),
        tmp_path / "sub" / "study.dcm",
    )
    (tmp_path / "cut.png").write_bytes((tmp_path / "a picture.png").read_bytes()[:60])
    (tmp_path / "notes.txt").write_text("no picture")
    said = repository.run(
        "python", "-m", "ensemble.submit", "--images", str(tmp_path), "--output", str(tmp_path / "out.csv")
    )
    assert "2 read, 1 refused" in said
    assert "Left out, not images: 1 (notes.txt)" in said
    found = pd.read_csv(tmp_path / "out.csv", dtype=str).set_index("ImageId")["EncodedPixels"]
    assert found["cut"] == "refused"
    assert "notes" not in found
    rle.decode(found["a picture"], (80, 60))
    verdicts = pd.read_csv(tmp_path / "out.studies.csv").set_index("image_id")
    assert verdicts.loc["cut", "verdict"] == "refused"
    assert verdicts.loc["cut", "reason"].startswith("PICTURE-")


def test_other_weights_than_the_decisions_are_refused(repository: Repository, tmp_path: Path) -> None:
    from ensemble.inference.predictor import Predictor

    models = tmp_path / "models"
    shutil.copytree(repository.root / "models", models)
    # of an earlier recipe, and none of this one's business
    (models / "segmentation/unet/fold7.json").write_text("{}")
    (models / "segmentation/unet/fold7.safetensors").write_bytes(b"")
    Predictor.load(models, models / "ensemble/decision.json")
    for suffix in (".safetensors", ".json"):
        shutil.copy(models / f"segmentation/unet/fold0{suffix}", models / f"segmentation/unet/fold1{suffix}")
    side = models / "segmentation/unet/fold1.json"
    side.write_text(json.dumps({**json.loads(side.read_text()), "fold": 1}))
    with pytest.raises(
        ValueError, match=r"fold1: the decision was fitted on the predictions of other weights"
    ):
        Predictor.load(models, models / "ensemble/decision.json")
