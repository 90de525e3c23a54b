"""Runs in a real MLflow database: names, tags, restarts, and a server that is not there."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from experiments import environment, run_group, tracking


def runs(client: MlflowClient) -> list:
    experiment = client.get_experiment_by_name(run_group.EXPERIMENT)
    return client.search_runs([experiment.experiment_id])


def test_nested_params_become_flat_keys() -> None:
    assert run_group.flatten({"storage": "postgresql://me:secret@host/studies"}) == {
        "storage": "postgresql://me:***@host/studies"
    }
    values = {"segmentation": {"lr": 0.1, "augment": {"preset": "none"}, "variants": {}}}
    assert run_group.flatten(values) == {
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


def test_a_stage_without_a_memory_of_its_own_is_found_again_until_it_ends(client: MlflowClient) -> None:
    params = {"evaluation": {"draws": 10}}
    for _ in range(2):
        with pytest.raises(RuntimeError), tracking.start("evaluate", {}, params):
            raise RuntimeError("no space left in //user:secret@host/db")
    assert runs(client)[0].data.tags["reason"] == "RuntimeError: no space left in //user:***@host/db"
    with tracking.start("evaluate", {}, params):
        pass
    (found,) = runs(client)
    assert found.info.status == "FINISHED"
    assert "reason" not in found.data.tags
    with tracking.start("evaluate", {}, params):  # the first has ended: this is another
        pass
    assert len(runs(client)) == 2


def test_a_restart_with_a_changed_param_is_logged_all_the_same(client: MlflowClient, tmp_path: Path) -> None:
    for trials in (20, 30):
        with tracking.start("t", {}, {"trials": trials}, tmp_path / "run.json") as run:
            run.metrics({"a": trials})
    (found,) = runs(client)
    assert (found.data.params, found.data.metrics) == ({"trials": "20"}, {"a": 30.0})
    config = client.download_artifacts(found.info.run_id, "config.yaml")
    assert Path(config).read_text() == "trials: 30\n"


def test_a_run_keeps_what_it_was_made_with_and_what_it_made(client: MlflowClient, tmp_path: Path) -> None:
    made = tmp_path / "metrics.json"
    made.write_text("{}\n")
    with tracking.start("t", {"stage": "s"}, {"x": {"lr": 1}}) as run:
        run.made(made)
        run.image(np.zeros((4, 8, 3), np.uint8), "overlays", step=3)
    tags = client.get_run(run.run_id).data.tags
    assert tags["output_sha256"] == hashlib.sha256(b"{}\n").hexdigest()
    assert tags["experiment"]
    files = {one.path for folder in ("", "environment") for one in client.list_artifacts(run.run_id, folder)}
    assert files >= {"config.yaml", "environment/packages.txt", "environment/machine.json"}
    packages = Path(client.download_artifacts(run.run_id, "environment/packages.txt")).read_text()
    assert f"mlflow=={mlflow.__version__}" in packages.splitlines()
    (picture,) = [
        one.path for one in client.list_artifacts(run.run_id, "images") if one.path.endswith(".png")
    ]
    assert re.search(r"overlays.step.3", picture)


@pytest.mark.parametrize(("name", "expected"), [("wide", "wide"), (None, "exp-3")])
def test_the_experiment_is_named_by_the_user_or_by_dvc(
    monkeypatch: pytest.MonkeyPatch, name: str | None, expected: str
) -> None:
    monkeypatch.delenv("EXPERIMENT", raising=False)
    monkeypatch.setenv("DVC_EXP_NAME", "exp-3")
    if name:
        monkeypatch.setenv("EXPERIMENT", name)
    assert environment.names()["experiment"] == expected


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

    with pytest.warns(UserWarning, match=r"MLflow at http://user:\*\*\*@127\.0\.0\.1:9 does not answer"):
        assert work() == "done"


def test_dvcs_temporary_copies_need_a_named_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tmp_path / ".dvc" / "tmp" / "exps" / "x"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    with pytest.raises(ValueError, match="would be deleted with it; set MLFLOW_TRACKING_URI"):
        tracking.tracking_uri()


PARAMS = """\
# Written by experiments.recipe from {"name": "siim"}
data: {folder: data/x, image_size: 64}
split: {folds: 2}
train_folds: [0, 1]
classification: {models: [a], image_size: 32}
segmentation: {models: [u], image_size: 64, lr: 0.02}
"""


@pytest.fixture
def pipeline(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """A folder with params and prepared data, as a stage finds it."""
    monkeypatch.setenv("EXPERIMENT", "wide")
    Path("params.yaml").write_text(PARAMS)
    run_group.DATA.parent.mkdir(parents=True)
    run_group.DATA.write_text('{"fingerprint": "abc"}')
    return client


def test_the_experiment_is_one_of_model_development_with_a_description(client: MlflowClient) -> None:
    client.create_experiment(run_group.EXPERIMENT)  # as earlier versions made it
    with tracking.start("t", {}, {}):
        pass
    tags = client.get_experiment_by_name(run_group.EXPERIMENT).tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    assert "research" in tags["mlflow.note.content"]


def test_stages_are_children_of_one_run_with_all_params_data_and_final_metrics(
    pipeline: MlflowClient,
) -> None:
    measured = {
        "kaggle_dice": {"value": 0.8, "low": 0.7, "high": 0.9},
        "tnr": {"value": None, "low": None, "high": None},
    }
    with tracking.start("fit_ensemble", {}, {}):
        pass
    with tracking.start("evaluate", {"stage": "evaluate"}, {}) as run:
        run.results(measured)
    group = tracking.pipeline_run()
    assert group is not None
    group.end("FINISHED")
    parent, *children = sorted(runs(pipeline), key=lambda one: "mlflow.parentRunId" in one.data.tags)
    assert {one.info.run_name for one in children} == {"fit_ensemble (wide)", "evaluate (wide)"}
    assert {one.data.tags["mlflow.parentRunId"] for one in children} == {parent.info.run_id}
    assert (parent.info.run_name, parent.info.status) == ("wide", "FINISHED")
    assert parent.data.params["segmentation.lr"] == "0.02"
    assert parent.data.params["split.holdout"] == "0.2"  # a default
    assert parent.data.tags["recipe"] == 'Written by experiments.recipe from {"name": "siim"}'
    assert parent.data.metrics == {"kaggle_dice": 0.8}
    assert parent.data.tags["interval.kaggle_dice"] == "0.7000 to 0.9000"
    assert [one.dataset.digest for one in parent.inputs.dataset_inputs] == ["abc"]


def test_other_params_are_another_parent_and_no_two_runs_have_one_name(pipeline: MlflowClient) -> None:
    for lr in ("0.02", "0.03"):
        Path("params.yaml").write_text(PARAMS.replace("0.02", lr))
        with tracking.start("evaluate", {}, {"lr": lr}):
            pass
    names = [one.info.run_name for one in runs(pipeline)]
    assert sorted(names) == ["evaluate (wide #2)", "evaluate (wide)", "wide", "wide #2"]


@pytest.mark.parametrize(
    ("error", "status"),
    [(RuntimeError("no memory"), "FAILED"), (SystemExit(143), "KILLED"), (KeyboardInterrupt(), "KILLED")],
)
def test_a_failing_stage_ends_the_pipelines_run_until_the_next_stage_begins(
    pipeline: MlflowClient, error: BaseException, status: str
) -> None:
    def parent_status() -> str:
        return next(one.info.status for one in runs(pipeline) if one.info.run_name == "wide")

    with pytest.raises(type(error)), tracking.start("evaluate", {}, {}):
        raise error
    assert parent_status() == status
    with tracking.start("evaluate", {}, {}):
        assert parent_status() == "RUNNING"


def test_a_pipelines_run_that_was_killed_outright_is_ended_by_the_next_one(
    pipeline: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(lr: str, folder: str) -> None:
        (tmp_path / folder).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / folder)
        Path("params.yaml").write_text(PARAMS.replace("0.02", lr))
        with tracking.start("evaluate", {}, {"lr": lr}):
            pass

    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.tracking_uri())
    for lr, folder in (("0.1", "here"), ("0.2", "elsewhere"), ("0.3", "here"), ("0.3", "here")):
        begin(lr, folder)
    found = {
        one.data.params["segmentation.lr"]: one.info.status
        for one in runs(pipeline)
        if one.data.tags.get("stage") == run_group.STAGE
    }
    assert found == {"0.1": "FAILED", "0.2": "RUNNING", "0.3": "RUNNING"}
