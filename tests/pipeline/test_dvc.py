"""What a DVC user does with a finished run: share it, pull it, change a setting, look at the difference."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from experiments import environment
from tests.imaging.conftest import SiimFolder
from tests.pipeline.kills import fresh, kill, started
from tests.pipeline.tiny import TINY, Repository

METRICS = "reports/evaluation/metrics.json"


@pytest.fixture(scope="module")
def clone(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A clone on another machine, with the outputs from a shared folder. It has no MLflow database."""
    shared = tmp_path_factory.mktemp("dvc")
    repository.commit()
    repository.run("dvc", "remote", "add", "--quiet", "--local", "--default", "shared", str(shared / "store"))
    repository.run("dvc", "push", "--quiet")
    made = Repository(shared / "clone")
    repository.run("git", "clone", "-q", str(repository.root), str(made.root))
    made.run("dvc", "remote", "add", "--quiet", "--local", "--default", "shared", str(shared / "store"))
    made.run("dvc", "pull", "--quiet")
    return made


def test_a_clone_with_pulled_outputs_is_up_to_date(clone: Repository) -> None:
    assert clone.changed() == set()
    assert clone.executed() == ["inputs"]
    assert clone.changed() == set()
    assert not (clone.root / "mlflow.db").exists()


def test_evaluate_needs_no_mlflow_database(clone: Repository, repository: Repository) -> None:
    clone.run("dvc", "repro", "--single-item", "--force", "evaluate")
    assert (clone.root / METRICS).read_bytes() == (repository.root / METRICS).read_bytes()


def test_the_graph_runs_from_the_data_to_the_summary(clone: Repository) -> None:
    drawn = clone.run("dvc", "dag", "--dot")
    assert '"prepare" -> "split"' in drawn
    for stage in ("train_classification@small-0", "train_segmentation@unet-1", "fit_ensemble", "summary"):
        assert f'"{stage}"' in drawn


def test_an_experiment_is_run_shown_and_compared(clone: Repository, repository: Repository) -> None:
    draws = TINY["evaluation"]["draws"] + 100
    said = clone.run("dvc", "exp", "run", "-S", f"evaluation.draws={draws}", "-n", "more-draws")
    assert "Ran experiment(s): more-draws" in said
    assert "Stage 'train_segmentation@unet-0' didn't change, skipping" in said

    shown = clone.run("dvc", "exp", "show", "--csv").splitlines()
    assert any("more-draws" in line and str(draws) in line for line in shown)

    changed = json.loads(clone.run("dvc", "metrics", "diff", "--json"))[METRICS]
    assert changed["kaggle_dice.low"]["old"] != changed["kaggle_dice.low"]["new"]
    assert "kaggle_dice.value" not in changed  # more draws move the interval only

    clone.run("dvc", "plots", "diff", "--out", "plots", "HEAD")
    assert "Receiver operating characteristic" in (clone.root / "plots/index.html").read_text()

    table = clone.run("python", "-m", "experiments.compare", "more-draws", str(repository.root))
    assert (
        f"| {repository.root.name} | more-draws |" in table
        or f"| more-draws | {repository.root.name} |" in table
    )
    assert (clone.root / "reports/compare/compare.md").is_file()


@pytest.fixture
def siim(tmp_path: Path) -> SiimFolder:
    """An empty folder in SIIM's form, to be filled."""
    return SiimFolder(tmp_path / "siim")


@pytest.fixture
def finished(repository: Repository, tmp_path: Path) -> Repository:
    """A copy of the finished run that a test may change."""
    return Repository(shutil.copytree(repository.root, tmp_path / "run", symlinks=True))


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("imaging/plotting.py", set()),
        ("experiments/tracking.py", set()),
        ("experiments/monitoring/epoch_log.py", set()),
        ("classification/losses.py", {"check", "train_classification"}),
        ("segmentation/losses.py", {"check", "train_segmentation"}),
        ("ensemble/evaluate.py", {"evaluate"}),
    ],
)
def test_an_edit_makes_stale_what_it_decides_and_no_more(
    finished: Repository, file: str, stages: set[str]
) -> None:
    with (finished.root / file).open("a") as source:
        source.write("# A comment.\n")
    assert finished.changed() == stages


def test_a_change_of_a_file_outside_the_data_folder_is_noticed(finished: Repository, tmp_path: Path) -> None:
    own, sample, patients = tmp_path / "own #1: ${new}", tmp_path / "sample.csv", tmp_path / "patients.csv"
    own.mkdir()
    for path in (own / "a.dcm", sample, patients):
        path.write_text("1")
    params = yaml.safe_load(yaml.safe_dump(TINY))
    params["data"]["patients"] = str(patients)
    params["submit"] |= {"images": str(own), "sample": str(sample)}
    finished.params(params)
    finished.run("dvc", "repro", "inputs")
    finished.run("dvc", "commit", "--force", "--quiet")
    assert finished.changed() == set()
    (own / "b.dcm").write_text("2")
    finished.run("dvc", "repro", "inputs")
    assert finished.changed() == {"submit"}
    sample.write_text("2")
    patients.write_text("2")
    finished.run("dvc", "repro", "inputs")
    assert finished.changed() == {"prepare", "submit"}


def test_prepare_runs_when_a_file_in_the_data_folder_changes(siim: SiimFolder, tmp_path: Path) -> None:
    """A broken link and a pipe, which stop DVC itself, are listed and passed over."""
    paths = [siim.add(f"i{number}", "100 5" if number % 2 else "-1") for number in range(4)]
    siim.write_labels()
    os.symlink("/nowhere", paths[0].parent / "broken.dcm")
    os.mkfifo(paths[0].parent / "pipe")
    made = Repository.copy(tmp_path / "repository")
    made.params(
        {**TINY, "data": {"source": "siim", "folder": str(siim.path), "image_size": 64}, "submit": {}}
    )
    assert made.executed("prepare") == ["params", "phantom", "inputs", "prepare"]
    skipped = (made.root / "data/prepared/rejected.csv").read_text()
    assert "a broken link" in skipped
    assert "a pipe, not a file" in skipped
    paths[0].touch()
    (siim.path / ".DS_Store").touch()
    assert made.executed("prepare") == ["inputs"]
    shutil.copy(paths[1], paths[0])
    assert made.executed("prepare") == ["inputs", "prepare"]
    (paths[0].parent / "pipe").unlink()
    assert made.executed("prepare") == ["inputs", "prepare"]


def test_a_valid_change_of_a_setting_starts_only_the_stages_that_use_it(finished: Repository) -> None:
    params = yaml.safe_load(yaml.safe_dump(TINY))
    params["evaluation"]["draws"] += 1
    finished.params(params)
    assert finished.changed() == {"params", "fit_ensemble", "evaluate", "export"}
    finished.run("dvc", "repro", "params")
    assert finished.changed() == {"fit_ensemble", "evaluate", "export"}


def test_faults_of_params_end_the_run_before_its_first_stage(tmp_path: Path) -> None:
    made = Repository.copy(tmp_path)
    made.params({**TINY, "classification": {**TINY["classification"], "batchsize": 4}})
    done = made.attempt("dvc", "repro")
    assert done.returncode != 0
    assert "unknown key `classification.batchsize` (value 4); did you mean `batch_size`?" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (made.root / "data").exists()


def test_an_archive_runs_without_a_repository_and_without_git(tmp_path: Path) -> None:
    """As from a ZIP of the project, in a shell that knows neither git nor .venv."""
    made, archive = Repository.copy(tmp_path / "clone"), Repository(tmp_path / "archive")
    made.commit()
    archive.root.mkdir()
    made.run("git", "archive", "--output", str(tmp_path / "all.tar"), "HEAD")
    made.run("tar", "-xf", str(tmp_path / "all.tar"), "-C", str(archive.root))
    (archive.root / ".venv").symlink_to(sys.prefix)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sh").symlink_to("/bin/sh")
    for command in (
        [".venv/bin/dvc", "repro", "params"],
        [".venv/bin/python", "-m", "experiments.recipe", "siim-smoke"],
    ):
        done = archive.attempt(*command, path=str(tmp_path / "bin"))
        assert done.returncode == 0, done.stderr
    assert (archive.root / "data/params.valid").is_file()


def test_results_of_a_run_do_not_mark_its_code_as_changed(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Repository.copy(tmp_path)
    (made.root / METRICS).parent.mkdir(parents=True, exist_ok=True)
    (made.root / METRICS).write_text("{}")
    made.commit()
    monkeypatch.chdir(made.root)
    (made.root / METRICS).unlink()  # as DVC does before it runs the stage
    (made.root / "dvc.lock").write_text("")
    assert environment.names()["git_dirty"] == "false"
    (made.root / "ensemble/fit.py").write_text("")
    assert environment.names()["git_dirty"] == "true"


def test_a_second_run_at_the_same_time_says_so(tmp_path: Path) -> None:
    made = fresh(tmp_path)
    run = started(made)
    try:
        while "Running stage" not in (made.root / "dvc.log").read_text():
            assert run.poll() is None
            time.sleep(0.05)
        second = subprocess.run(
            ["dvc", "repro"], cwd=made.root, env=made.environment(), capture_output=True, text=True
        )
    finally:
        kill(run)
    assert second.returncode != 0
    assert f"(PID {run.pid})" in second.stderr


def test_what_dvc_does_not_store_is_in_git() -> None:
    """Else a clone would lack it, and the stage would run again there."""
    stages = yaml.safe_load(Path("dvc.yaml").read_text())["stages"].values()
    outputs = [
        out for stage in stages for kind in ("outs", "metrics", "plots") for out in stage.get(kind, [])
    ]
    uncached = [
        name
        for out in outputs
        if isinstance(out, dict)
        for name, of in out.items()
        if of.get("cache") is False
    ]
    assert METRICS in uncached
    ignored = [
        name for name in uncached if not subprocess.run(["git", "check-ignore", "-q", name]).returncode
    ]
    assert ignored == []
