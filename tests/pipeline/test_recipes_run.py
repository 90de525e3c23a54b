"""Every recipe runs from generated images to a submission at its smallest scale: `make repro RECIPE=name SCALE=tiny`."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from experiments.recipe import names
from tests.pipeline.tiny import Repository

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository.copy(tmp_path_factory.mktemp("recipes"))


@pytest.mark.parametrize("name", names())
def test_a_recipe_runs_end_to_end(tree: Repository, name: str) -> None:
    tree.run("python", "-m", "experiments.recipe", name, "--scale", "tiny")
    tree.run("dvc", "repro")
    metrics = json.loads((tree.root / "reports/evaluation/metrics.json").read_text())
    assert 0 <= metrics["kaggle_dice"]["value"] <= 1
    assert len(pd.read_csv(tree.root / "data/prepared/folds.csv")) == 64  # the labelled ones
    assert (tree.root / "submission.csv").is_file()
