"""After a finished run, `ensemble.refit` trains on the hold-out too, and leaves the evaluated run as it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from ensemble.inference.bundle import Bundle
from experiments.networks.refit import NO_HOLDOUT
from imaging.io.files import sha256
from tests.pipeline.tiny import Repository

pytestmark = pytest.mark.slow  # four trainings and two commands after a whole run

NETWORKS = [(name, fold) for name in ("classification/small", "segmentation/unet") for fold in "01"]


def checksums(root: Path) -> dict[str, str]:
    """Of the evaluated run's results, without those of the refit."""
    files = [path for name in ("models", "predictions", "reports") for path in (root / name).rglob("*")]
    return {
        path.relative_to(root).as_posix(): sha256(path)
        for path in [*files, root / "submission.csv"]
        if path.is_file() and "refit" not in path.parts
    }


@pytest.fixture(scope="module")
def refitted(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A copy of the finished run in which the command has run, and the checksums before."""
    root = tmp_path_factory.mktemp("refit") / "run"
    shutil.copytree(repository.root, root, ignore=shutil.ignore_patterns(".dvc", ".git", "mlruns"))
    before = checksums(root)
    Repository(root).run("python", "-m", "ensemble.refit")
    return root, before


def test_the_evaluated_run_is_not_touched(refitted: tuple[Path, dict[str, str]]) -> None:
    root, before = refitted
    assert checksums(root) == before


def test_lineage_and_sidecars_say_that_no_holdout_result_exists(
    refitted: tuple[Path, dict[str, str]],
) -> None:
    root, _ = refitted
    evaluated = json.loads((root / "models/ensemble/decision.json").read_text())
    found = json.loads((root / "models/refit/ensemble/decision.json").read_text())
    assert found["fitted"]["refit"]["holdout"] == NO_HOLDOUT
    for network, fold in NETWORKS:
        facts = json.loads((root / f"models/refit/{network}/fold{fold}.json").read_text())
        lineage = found["fitted"]["lineage"][network]
        assert facts["holdout"] == lineage["holdout"] == NO_HOLDOUT
        assert facts["repeats_weights"] == evaluated["fitted"]["lineage"][network]["weights"][fold]
        assert facts["weights_sha256"] == lineage["weights"][fold] != facts["repeats_weights"]
    assert {key: value for key, value in found.items() if key != "fitted"} == {
        key: value for key, value in evaluated.items() if key != "fitted"
    }


def test_the_bundle_has_no_scores_and_knows_all_training_images(
    refitted: tuple[Path, dict[str, str]],
) -> None:
    root, _ = refitted
    made, evaluated = Bundle.load(root / "models/refit/bundle"), Bundle.load(root / "models/bundle")
    assert made.metrics == {}
    card = (made.folder / "README.md").read_text()
    assert NO_HOLDOUT in card
    assert "metrics: []" in card.split("---")[1]
    pictures = [
        len(json.loads((bundle.folder / "training_data.json").read_text())["pictures"]) // 64
        for bundle in (evaluated, made)
    ]
    folds = pd.read_csv(root / "data/prepared/folds.csv", dtype=str)
    assert pictures == [int((folds["fold"] != "holdout").sum()), len(folds)]


def test_the_submission_has_the_same_ids(refitted: tuple[Path, dict[str, str]]) -> None:
    root, _ = refitted
    first, again = (
        pd.read_csv(root / name, dtype=str) for name in ("submission.csv", "submission-refit.csv")
    )
    assert list(first["ImageId"]) == list(again["ImageId"])
    assert "| segmentation | unet | 1 |" in (root / "reports/refit/report.md").read_text()
