"""Patients' names, ids and dates planted in every header of a training set: a whole `dvc repro` writes and says none of them."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from pydicom import dcmread

from tests.ensemble.inference.test_privacy import PLANTED, planted_in
from tests.pipeline.kills import fresh
from tests.pipeline.tiny import TINY, Repository

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def planted(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> tuple[Repository, str]:
    """A finished run on studies with planted headers, and all that it printed."""
    made = fresh(tmp_path_factory.mktemp("planted"))
    studies = made.root.with_name("studies")
    shutil.copytree(repository.root / "data/phantom", studies)
    for number, path in enumerate(sorted(studies.rglob("*.dcm"))):
        dataset = dcmread(path)
        for name, value in PLANTED.items():
            setattr(dataset, name, f"{value}-{number}" if name == "PatientID" else value)
        dataset.save_as(path)
    place = str(studies)
    data = {"source": "siim", "folder": place, "patients": place, "image_size": 64}
    made.params({**TINY, "data": data, "submit": {"images": place, "sample": place}})
    done = subprocess.run(
        ["dvc", "repro"], cwd=made.root, env=made.environment(), text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return made, done.stdout + done.stderr


def test_nothing_that_is_written_holds_them(planted: tuple[Repository, str]) -> None:
    """Reports, models, predictions, DVC's cache, MLflow's database and artifacts: every file of the repository."""
    assert planted_in(planted[0].root) == {}


def test_nothing_that_is_printed_holds_them(planted: tuple[Repository, str]) -> None:
    assert [value for value in PLANTED.values() if value in planted[1]] == []


def test_the_runs_are_in_mlflow(planted: tuple[Repository, str]) -> None:
    """So that the search above has something to search."""
    assert b"kaggle_dice" in (planted[0].root / "mlflow.db").read_bytes()
