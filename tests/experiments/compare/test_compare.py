"""Experiments side by side: found by name, tag, query or folder; differences in pairs by hand; files that were written."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from experiments import tracking
from experiments.compare import __main__, runs, tables
from experiments.compare.runs import Result
from experiments.monitoring.pseudonyms import pseudonyms

LABEL = [1, 1, 0, 0]
PATIENTS = ["p", "q", "r", "r"]


def images(dice: list[float], label: list[int] = LABEL, first: int = 0) -> pd.DataFrame:
    ids = [f"i{first + k}" for k in range(len(dice))]
    return pd.DataFrame({"image_id": ids, "patient_id": PATIENTS, "label": label, "dice": dice})


def result(name: str, dice: list[float], **of_images: Any) -> Result:
    score = {"value": sum(dice) / len(dice), "low": 0.1, "high": 0.9}
    return Result(name, "2026-01-01 00:00", {"kaggle_dice": score}, images(dice, **of_images))


def out_of_fold(dice: list[float]) -> list[float]:
    """Out of fold an experiment is as good as it is bad on the hold-out."""
    return [1 - one for one in dice]


def evaluated(folder: Path, name: str, dice: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two trainings and an evaluation in MLflow, and the same files in a checkout `folder`."""
    monkeypatch.setenv("EXPERIMENT", name)
    sealed = {}
    for stage in ("classification", "segmentation"):
        weights = folder / f"models/{stage}/m/fold0.safetensors"
        weights.parent.mkdir(parents=True)
        weights.write_text(f"{name} {stage}")
        with tracking.start(f"train_{stage} m fold 0", {"stage": f"train_{stage}"}, {}) as run:
            for epoch in range(3):
                run.metrics({"train/loss": 1 / (epoch + 1), "val/score": epoch / 10}, epoch)
            run.made(weights)
        sealed[f"{stage}/m"] = {"weights": {"0": hashlib.sha256(weights.read_bytes()).hexdigest()}}
    nested = {"value": sum(out_of_fold(dice)) / len(dice), "low": 0.2, "high": 0.8}
    files = {
        "reports/evaluation/metrics.json": json.dumps(result(name, dice).metrics),
        "reports/evaluation/report/per_image.csv": images(dice).to_csv(index=False),
        "models/ensemble/decision.json": json.dumps({"fitted": {"lineage": sealed, "nested_score": nested}}),
    }
    table = images(out_of_fold(dice), first=100)
    (folder / "reports/ensemble").mkdir(parents=True)
    table.to_csv(folder / "reports/ensemble/out_of_fold.csv", index=False)
    (folder / "models/ensemble").mkdir()
    (folder / "models/ensemble/decision.json").write_text(files["models/ensemble/decision.json"])
    with tracking.start("fit_ensemble", {"stage": "fit_ensemble"}, {}) as run:
        run.made(folder / "models/ensemble/decision.json")
        run.text(pseudonyms(table).to_csv(index=False), "out_of_fold.csv")
    with tracking.start("evaluate", {"stage": "evaluate"}, {}) as run:
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
            run.file(folder / path)


@pytest.fixture(scope="module")
def home(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a database of two experiments, made once."""
    folder = tmp_path_factory.mktemp("compare")
    shutil.copy(empty_database, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        evaluated(folder / "one", "narrow", [0.5, 0.0, 1.0, 0.0], patch)
        evaluated(folder / "two", "wide", [0.75, 0.5, 1.0, 1.0], patch)
    return folder


@pytest.fixture
def two(home: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.chdir(home)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return MlflowClient(tracking_uri=f"sqlite:///{home}/mlflow.db")


def given(*names: str, **changes: Any) -> argparse.Namespace:
    values = {
        "tag": [],
        "query": "",
        "baseline": None,
        "output": Path("out"),
        "by": "out-of-fold",
    }
    values |= changes
    return argparse.Namespace(names=list(names), **values)


def test_the_difference_is_taken_image_by_image() -> None:
    row = tables.difference(result("wide", [0.75, 0.5, 1.0, 1.0]), result("narrow", [0.5, 0.0, 1.0, 0.0]))
    assert row["kaggle_dice"] == pytest.approx((0.25 + 0.5 + 0 + 1) / 4)
    assert row["dice_positive"] == pytest.approx((0.25 + 0.5) / 2)
    assert row["tnr"] == pytest.approx((0 + 1) / 2)
    # The gains of the positives' patients p and q are .25 and .5: mean .375, standard error .125, t(1) = 12.706.
    assert row["dice_positive_low"] == -1
    assert row["dice_positive_high"] == 1
    assert np.isnan(row["tnr_low"])  # both empty images are of one patient
    assert row["note"] == "one training each: the difference may be due to the seed"


def test_the_interval_of_a_difference_of_single_trainings_is_over_patients() -> None:
    """Gains of patients p, q, r (two images): .25, .5, 1; mean .4375, shares (gain - images * mean)/4: -.046875, .015625, .03125;
    variance 3/2 * sum of squares = .0051270; t(2) = 4.302653."""
    row = tables.difference(result("wide", [0.75, 0.5, 1.0, 1.0]), result("narrow", [0.5, 0.0, 1.0, 0.0]))
    half = 4.302653 * 0.0051270**0.5
    assert row["kaggle_dice_low"] == pytest.approx(0.4375 - half, abs=1e-4)
    assert row["kaggle_dice_high"] == pytest.approx(0.4375 + half, abs=1e-4)


def test_only_images_of_both_holdouts_are_compared() -> None:
    row = tables.difference(
        result("b", [0.9, 0.9, 0.9, 0.9], label=[0, 0, 0, 0], first=2), result("a", [0.5, 0, 1, 0])
    )
    assert (row["images"], row["kaggle_dice"]) == (2, pytest.approx(0.4))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"first": 10}, "have no image in common"),
        ({"label": [0, 1, 1, 0]}, "have different labels"),
    ],
)
def test_what_cannot_be_compared_is_an_error(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"b and a {words}"):
        tables.difference(result("b", [1, 1, 1, 1], **change), result("a", [0, 0, 0, 0]))


def test_a_cell_holds_a_value_and_its_interval() -> None:
    text = tables.markdown(tables.results([result("a", [1.0, 0.0, 1.0, 0.0])]))
    assert text.splitlines()[0] == "| experiment | made | seeds | images | Kaggle Dice |"
    assert text.splitlines()[2] == "| a | 2026-01-01 00:00 | 1 | 4 | 0.500 [0.100, 0.900] |"


def test_every_evaluated_experiment_and_its_trainings(two: MlflowClient, tmp_path: Path) -> None:
    text = __main__.run(given(output=tmp_path / "out"))
    lines = text.splitlines()
    assert (
        next(line for line in lines if line.startswith("| narrow |"))
        .split(" | ")[4]
        .startswith("0.625 [0.200")
    )
    assert next(line for line in lines if line.startswith("| narrow |")).split(" | ")[5].startswith("0.375")
    assert any(line.startswith("| wide | narrow | out-of-fold | 4 | 1 and 1 | -0.438 [") for line in lines)
    assert sum("train_segmentation m fold 0" in line for line in lines) == 2
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {
        "compare.md", "curves.png", "differences.csv", "experiments.csv", "train_classification.csv",
        "train_segmentation.csv",
    }  # fmt: skip
    assert pd.read_csv(out / "differences.csv")["kaggle_dice"].tolist() == [-0.4375]


@pytest.mark.parametrize(
    ("by", "first", "words"),
    [
        ("out-of-fold", "narrow", "Ranked by nested out-of-fold scores"),
        ("holdout", "wide", "no longer independent"),
    ],
)
@pytest.mark.parametrize("names", [[], ["one", "two"]])  # from MLflow, and from checkouts
def test_experiments_are_ranked_out_of_fold_unless_asked_otherwise(
    two: MlflowClient, names: list[str], by: str, first: str, words: str
) -> None:
    """On the hold-out `wide` is better, out of fold `narrow`."""
    text = __main__.run(given(*names, by=by))
    first = {"narrow": "one", "wide": "two"}[first] if names else first
    assert words in text
    assert text.split("| --- |\n| ")[1].startswith(first)
    assert f"| {by} | 4 | 1 and 1 | {'+' if by == 'holdout' else '-'}0.438 [" in text


def test_without_out_of_fold_tables_the_difference_is_on_the_holdout() -> None:
    row = tables.difference(result("b", [1, 1, 1, 1]), result("a", [0, 0, 0, 0]), by="out-of-fold")
    assert row["on"] == "holdout"


@pytest.mark.parametrize(
    ("names", "changes", "results", "curves"),
    [
        (["wide"], {}, ["wide"], []),
        (["wide", "one"], {}, ["wide", "one"], []),  # a checkout's folder
        ([], {"tags": {"stage": "train_segmentation"}}, [], ["train_segmentation m fold 0"] * 2),
        ([], {"query": "metrics.`val/score` > 0.1 and tags.experiment = 'wide'"}, [], ["train_"] * 2),
        (
            ["train_segmentation m fold 0"],
            {"tags": {"experiment": "wide"}},
            [],
            ["train_segmentation m fold 0"],
        ),
    ],
)
def test_runs_are_found(
    two: MlflowClient, names: list[str], changes: dict[str, Any], results: list[str], curves: list[str]
) -> None:
    found, single = runs.select(two, names, changes.get("tags", {}), changes.get("query", ""))
    assert [one.name for one in found] == results
    assert [one.name.startswith(start) for one, start in zip(single, curves, strict=True)] == [True] * len(
        curves
    )
    assert all(len(one.curves) == 2 for one in found)
    assert all(one.points["val/score"] == [(0, 0.0), (1, 0.1), (2, 0.2)] for one in single)


def test_the_baseline_is_by_name(two: MlflowClient) -> None:
    row = "| narrow | wide | out-of-fold | 4 | 1 and 1 | +0.438 ["
    assert row in __main__.run(given(baseline="wide"))
    assert row in __main__.run(given("narrow", baseline="wide"))


@pytest.mark.parametrize(
    ("names", "changes", "words"),
    [
        (["deep"], {}, "'deep': no folder .* experiments there: narrow, wide"),
        ([], {"tag": ["stage"]}, "--tag stage: write KEY=VALUE"),
        ([], {"query": "nonsense"}, "query 'nonsense'"),
        ([], {"baseline": "deep"}, "--baseline deep: not among narrow, wide"),
        ([], {"output": Path(__file__)}, r"test_compare\.py: a file; name a folder"),
    ],
)
def test_a_mistake_is_told(two: MlflowClient, names: list[str], changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        __main__.run(given(*names, **changes))


def test_an_empty_database_is_told(client: MlflowClient) -> None:
    with pytest.raises(ValueError, match="no evaluated experiment yet: run `make repro` first"):
        __main__.run(given())
