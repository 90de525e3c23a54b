"""What a DVC user does with a finished run: share it, pull it, change a setting, look at the difference."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest
import yaml

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
    assert "up to date" in clone.run("dvc", "status")
    assert "up to date" in clone.run("dvc", "repro")
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
