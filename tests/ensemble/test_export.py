"""A finished run becomes a bundle: all of it, nothing stale, with a card that says what the run says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ensemble.decision import refit as decisions
from ensemble.decision.decision import Decision
from ensemble.evaluation.model_card import section
from ensemble.export import export
from ensemble.inference.bundle import Bundle
from ensemble.validation.training_data import TrainingData
from experiments.networks import refit, weights
from imaging.io.files import write_json, write_text
from imaging.prepared import Prepared

REPORT = """# Evaluation

> **The split leaks: 1 patients have images in more than one part**

## Subgroups

![a picture](x.png)

| | group | score |
|---|---|---|
| sex | F | 0.913 |

## More

nothing
"""
CARD = "# Dataset card\n\n## Classes\n\n12 images\n\n## Masks\n\nlarge\n\n## Patients\n\n7 patients\n\n## Images\n\nmany\n"
PER_IMAGE = "image_id,patient_id,label,dice\na,p1,1,0.5\nb,p1,0,1\nc,p2,0,1\n"


@pytest.fixture
def run(
    tiny_bundle: Path, make_world: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A working folder after `dvc repro`, and a network of an earlier run that no decision knows."""
    monkeypatch.chdir(tmp_path)
    for stage in ("classification", "segmentation"):
        shutil.copytree(tiny_bundle / stage, tmp_path / "models" / stage)
    for suffix in (".safetensors", ".json"):
        stale = tmp_path / f"models/segmentation/u/fold9{suffix}"
        shutil.copy(tmp_path / f"models/segmentation/u/fold0{suffix}", stale)
    decision = json.loads((tiny_bundle / "decision.json").read_text())
    facts = {"data_fingerprint": "abc", "folds": [0], "images": 3, "patients": 2, "positives": 1}
    decision["fitted"] |= facts
    write_json("models/ensemble/decision.json", decision)
    measured = {"value": 0.93, "low": 0.9, "high": 0.97}
    metrics = {"kaggle_dice": measured, "auroc": {"value": None, "low": None, "high": None}}
    write_json("reports/evaluation/metrics.json", metrics)
    write_text("reports/evaluation/report/report.md", REPORT)
    write_text("reports/evaluation/report/per_image.csv", PER_IMAGE)
    write_json("reports/evaluation/report/openings.json", {"openings": 3})
    write_text("reports/data/dataset_card.md", CARD)
    write_text("params.yaml", "data: {source: phantom, folder: x}\nsplit: {scheme: image}\n")
    write_text("LICENSE", "MIT License\n")
    make_world(tmp_path)
    return tmp_path


def test_a_bundle_holds_the_run_and_nothing_stale(run: Path) -> None:
    made = export()
    assert made.folder == Path("models/bundle")
    assert set(made.index.files) == {
        "LICENSE", "README.md", "decision.json", "metrics.json", "params.yaml", "training_data.json",
        "input_limits.json",
        "classification/c/fold0.json", "classification/c/fold0.safetensors",
        "segmentation/u/fold0.json", "segmentation/u/fold0.safetensors",
    }  # fmt: skip
    assert made.metrics["kaggle_dice"]["value"] == 0.93
    assert made.index.fingerprints["data"] == "abc"
    record = made.domain.training
    assert record is not None
    assert (record.counts.images, record.like_holdout["images"]) == (40, 40)  # fold 0 and the hold-out
    assert made.predictor().domain == made.domain
    assert (made.folder / "params.yaml").read_bytes() == (run / "params.yaml").read_bytes()


def test_twice_is_the_same_and_replaces(run: Path) -> None:
    first = export()
    again = export()
    assert again.sha256 == first.sha256
    assert [path.name for path in (run / "models").iterdir() if path.name.startswith(".")] == []
    shutil.move(run / "models/bundle", run / "elsewhere")
    Bundle.load(run / "elsewhere").predictor()  # it needs nothing beside it


def test_the_card_says_what_the_run_says(run: Path) -> None:
    card = (export().folder / "README.md").read_text()
    _, front, body = card.split("---\n", 2)
    facts = yaml.safe_load(front)
    assert facts["license"] == "mit"
    assert facts["model-index"][0]["results"][0]["metrics"] == [
        {"type": "kaggle_dice", "name": "Kaggle Dice", "value": 0.93}  # what does not exist has no entry
    ]
    for words in (
        "Not for diagnosis", "Intended use", "Out of scope", "drawings, not patients", "12 images", "7 patients",
        "3 images of 2 patients that were held out, 1 with a pneumothorax", "0.930 (0.900 to 0.970)", "opened 3 times",
        "| sex | F | 0.913 |",
        "The split leaks", "python -m ensemble.predict", "| segmentation | u | plain | 64 | plain | 1 |",
    ):  # fmt: skip
        assert words in body, words
    assert "](" not in body.replace("](LICENSE)", "")  # no link to what a bundle does not hold


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("models/segmentation/u/fold0.safetensors", r"fold0\.safetensors: missing"),
        ("reports/evaluation/report/report.md", r"report\.md: missing"),
        ("LICENSE", "LICENSE: missing"),
        ("models/ensemble/decision.json", r"decision\.json: no such file"),
    ],
)
def test_an_unfinished_run_makes_none(run: Path, gone: str, message: str) -> None:
    (run / gone).unlink()
    with pytest.raises(ValueError, match=message):
        export()
    assert {path.name for path in (run / "models").iterdir()} <= {
        "classification",
        "segmentation",
        "ensemble",
    }


def test_other_weights_than_the_decisions_are_refused(run: Path) -> None:
    path = run / "models/segmentation/u/fold0.safetensors"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(
        ValueError, match="fold0: the decision was fitted on the predictions of other weights"
    ):
        export()


def test_a_folder_with_other_things_is_spared(run: Path) -> None:
    with pytest.raises(ValueError, match="exists already"):
        export(run / "models")
    assert (run / "models/ensemble/decision.json").exists()


def test_a_section_ends_at_the_next_and_has_no_pictures() -> None:
    assert section(REPORT, "Subgroups") == "| | group | score |\n|---|---|---|\n| sex | F | 0.913 |"
    with pytest.raises(ValueError, match="no section `Rules`"):
        section(REPORT, "Rules")


def test_the_bundle_of_a_refit_claims_no_score(run: Path) -> None:
    for stage, name in (("classification", "c"), ("segmentation", "u")):
        evaluated = weights.path_of(stage, name, 0)
        facts = {
            **weights.load_facts(evaluated),
            refit.REPEATS: weights.load_facts(evaluated)["weights_sha256"],
        }
        state = {key: value + 1 for key, value in weights.load_state(evaluated).items()}
        weights.save(weights.path_of(stage, name, 0, refit.FOLDER), state, facts)
    decisions.applied(Decision.load()).save(decisions.PATH)
    made = export("models/refit/bundle", models=refit.FOLDER, decided=decisions.PATH)
    assert made.metrics == {}
    assert refit.NO_HOLDOUT in (made.folder / "README.md").read_text()
    fitted = Decision.load(made.folder / "decision.json").fitted
    assert fitted["refit"]["holdout"] == fitted["lineage"]["segmentation/u"]["holdout"] == refit.NO_HOLDOUT
    record = TrainingData.load(made.folder)
    assert record is not None
    assert len(record.pictures) // 64 == len(Prepared().folds)
    made.predictor()


def test_a_refit_of_other_weights_is_refused(run: Path) -> None:
    for stage, name in (("classification", "c"), ("segmentation", "u")):
        path = weights.path_of(stage, name, 0)
        facts = {**weights.load_facts(path), refit.REPEATS: "of an earlier run"}
        weights.save(weights.path_of(stage, name, 0, refit.FOLDER), weights.load_state(path), facts)
    with pytest.raises(ValueError, match="does not repeat the weights that the decision was fitted with"):
        decisions.applied(Decision.load())
