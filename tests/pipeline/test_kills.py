"""`kill -9` in the middle of a trial, of a training and of a prediction: `dvc repro` then ends as if nothing had been."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from tests.pipeline.kills import KEPT, ends, fresh, hunt, killed
from tests.pipeline.tiny import Repository

pytestmark = pytest.mark.slow
SEED = 20


def under(root: Path, pattern: str) -> Callable[[], bool]:
    """Whether a file is there."""
    return lambda: any(root.glob(pattern))


@pytest.fixture(scope="module")
def survivor(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A run that was killed three times, each at a moment drawn within a part of its work."""
    made = fresh(tmp_path_factory.mktemp("kills"))
    draw = random.Random(SEED).uniform
    root = made.root
    killed(made, under(root, "studies/*/trial0/**/last.ckpt"), draw(0, 0.5))
    killed(made, under(root, ".resume/segmentation-unet-fold1-*/last.ckpt"), draw(0, 0.5))
    killed(made, under(root, "predictions/segmentation/unet/*/.maps.*"), draw(0, 0.05))
    made.run("dvc", "repro")
    return made


def test_the_end_is_that_of_an_uninterrupted_run(repository: Repository, survivor: Repository) -> None:
    found, meant = ends(survivor), ends(repository)
    assert {name for name in KEPT if found[name] != meant[name]} == set()


def test_thirty_kills_at_random_moments(repository: Repository, tmp_path: Path) -> None:
    at = hunt(tmp_path, ends(repository), 30, SEED)
    print(*at.most_common(), sep="\n")
    assert at.total() == 30


def test_mlflow_shows_one_run_a_stage(repository: Repository, survivor: Repository) -> None:
    def names(root: Path) -> list[tuple[str, str]]:
        client = MlflowClient(tracking_uri=f"sqlite:///{root / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("pneumothorax")
        runs = client.search_runs([experiment.experiment_id])
        return sorted((run.info.run_name, run.info.status) for run in runs)

    assert names(survivor.root) == names(repository.root)


def test_nothing_half_written_is_left(survivor: Repository) -> None:
    assert not list((survivor.root / ".resume").glob("*"))
    assert not [path for path in survivor.root.rglob(".*part*") if ".dvc" not in path.parts]
