"""`kill -9` in the middle of a trial, of a training and of a prediction: `dvc repro` then ends as if nothing had been."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from mlflow.tracking import MlflowClient

from imaging.files import sha256
from tests.tiny import TINY, Repository

pytestmark = pytest.mark.slow
SEED = 20
PATIENCE = 300  # seconds until a moment comes
KEPT = (
    "reports/evaluation/metrics.json",
    "submission.csv",
    "reports/tuning/segmentation/best.json",
    *(f"models/segmentation/unet/fold{fold}.safetensors" for fold in TINY["train_folds"]),
    *(f"models/classification/small/fold{fold}.safetensors" for fold in TINY["train_folds"]),
)


def under(root: Path, pattern: str) -> Callable[[], bool]:
    """Whether a file is there."""
    return lambda: any(root.glob(pattern))


def killed(repository: Repository, moment: Callable[[], bool], delay: float) -> None:
    """Start `dvc repro`, and kill it and all that it has started `delay` seconds after the moment."""
    with (repository.root / "dvc.log").open("a") as log:
        started = subprocess.Popen(
            ["dvc", "repro"],
            cwd=repository.root,
            env=repository.environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    last = time.monotonic() + PATIENCE
    while not moment():
        assert started.poll() is None, "dvc repro ended before the moment"
        assert time.monotonic() < last, "the moment did not come"
        time.sleep(0.005)
    time.sleep(delay)
    for process in [*psutil.Process(started.pid).children(recursive=True), psutil.Process(started.pid)]:
        os.kill(process.pid, signal.SIGKILL)
    assert started.wait() == -signal.SIGKILL


@pytest.fixture(scope="module")
def survivor(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A run that was killed three times, each at a moment drawn within a part of its work."""
    made = Repository.copy(tmp_path_factory.mktemp("kills"))
    made.params(TINY)
    draw = random.Random(SEED).uniform
    root = made.root
    killed(made, under(root, "studies/*/trial0/**/last.ckpt"), draw(0, 0.5))
    killed(made, under(root, ".resume/segmentation-unet-fold1-*/last.ckpt"), draw(0, 0.5))
    killed(made, under(root, "predictions/segmentation/unet/*/.maps.*"), draw(0, 0.05))
    made.run("dvc", "repro")
    return made


@pytest.mark.parametrize("name", KEPT)
def test_the_end_is_that_of_an_uninterrupted_run(
    repository: Repository, survivor: Repository, name: str
) -> None:
    assert sha256(survivor.root / name) == sha256(repository.root / name)


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
