"""Runs in a real MLflow database: names, tags, restarts, and a server that is not there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from experiments import tracking


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once, since it takes MLflow some seconds."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def client(empty_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")


def runs(client: MlflowClient) -> list:
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
    return client.search_runs([experiment.experiment_id])


def test_nested_params_become_flat_keys() -> None:
    values = {"segmentation": {"lr": 0.1, "augment": {"preset": "none"}, "variants": {}}}
    assert tracking.flatten(values) == {
        "segmentation.lr": "0.1",
        "segmentation.augment.preset": "none",
        "segmentation.variants": "{}",
    }


def test_a_run_lands_in_the_file_that_a_bare_mlflow_ui_opens(client: MlflowClient) -> None:
    with tracking.start("train_x net fold 0", {"stage": "train_x"}, {"x": {"lr": 1}}) as run:
        run.metrics({"train/loss": 2.0}, step=0)
        run.metrics({"train/loss": 1.0}, step=1)
    (found,) = runs(client)
    assert found.info.run_name == "train_x net fold 0"
    assert found.info.status == "FINISHED"
    assert found.data.params == {"x.lr": "1"}
    assert found.data.tags["stage"] == "train_x"
    assert [m.value for m in client.get_metric_history(found.info.run_id, "train/loss")] == [2.0, 1.0]


def test_a_restarted_stage_goes_on_with_its_run(client: MlflowClient, tmp_path: Path) -> None:
    memory = tmp_path / "run.json"
    with pytest.raises(RuntimeError), tracking.start("t", {}, {"x": {"lr": 1}}, memory):
        raise RuntimeError("killed")
    assert runs(client)[0].info.status == "FAILED"
    with tracking.start("t", {}, {"x": {"lr": 1}}, memory):
        pass
    (found,) = runs(client)
    assert found.info.status == "FINISHED"


def test_a_deleted_database_is_no_reason_to_fail(client: MlflowClient, tmp_path: Path) -> None:
    memory = tmp_path / "run.json"
    memory.write_text(f'{{"run_id": "gone", "uri": "sqlite:///{tmp_path}/mlflow.db"}}')
    with tracking.start("t", {}, {}, memory):
        pass
    assert len(runs(client)) == 1


def test_a_pruned_trial_is_a_killed_child(client: MlflowClient) -> None:
    import optuna

    with (
        tracking.start("study", {}, {}) as parent,
        pytest.raises(optuna.TrialPruned),
        tracking.start("trial", {}, {}, parent=parent),
    ):
        raise optuna.TrialPruned
    child = next(run for run in runs(client) if run.info.run_name == "trial")
    assert child.info.status == "KILLED"
    assert child.data.tags["mlflow.parentRunId"] == parent.run_id


def test_work_goes_on_without_a_server_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")

    def work() -> str:
        with tracking.start("t", {}, {}) as run:
            run.metrics({"a": 1.0})
            return "done"

    with pytest.warns(UserWarning, match=r"MLflow at http://127\.0\.0\.1:9 does not answer"):
        assert work() == "done"


def test_dvcs_temporary_copies_need_a_named_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tmp_path / ".dvc" / "tmp" / "exps" / "x"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    with pytest.raises(ValueError, match="would be deleted with it; set MLFLOW_TRACKING_URI"):
        tracking.tracking_uri()
