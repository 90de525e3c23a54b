"""A study of real, tiny trainings: judged, pruned, failed, short of memory, and killed in the middle of one."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
import torch
from mlflow.tracking import MlflowClient

from classification.objective import Objective
from experiments.settings.training import ClassificationSettings
from experiments.settings.tuning import SearchRange, TuneSettings
from experiments.tuning import study as tuning
from experiments.tuning.trials import counted, starts
from tests.imaging.conftest import make_prepared

SECTION = ClassificationSettings(models=["c"], image_size=32, epochs=2, batch_size=4)
STUDY = TuneSettings(
    trials=3, space={"lr": SearchRange(low=1e-3, high=1e-1, log=True), "gamma": SearchRange(low=0, high=3)}
)
BEST = Path("reports/tuning/classification/best.json")


def network(settings: ClassificationSettings) -> torch.nn.Module:
    """For images of 32 px: 8 x 8 places of 4 channels, weighed."""
    layers = [torch.nn.Conv2d(1, 4, 3, stride=4, padding=1), torch.nn.ReLU(), torch.nn.Flatten()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(256, 1))


def run(study: TuneSettings = STUDY, judge: Any = Objective) -> dict[str, Any]:
    tuning.tune("classification", SECTION, study, network, judge)
    return json.loads(BEST.read_text())


def name_of(study: TuneSettings = STUDY) -> str:
    return tuning.Proxy("classification", SECTION, study, network, Objective).name


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared images, and MLflow's database, which takes seconds to make."""
    folder = tmp_path_factory.mktemp("tuning")
    make_prepared(folder)
    MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db").search_experiments()
    return folder


@pytest.fixture
def workplace(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(prepared / "prepared", "data/prepared")
    shutil.copy(prepared / "mlflow.db", "mlflow.db")
    return tmp_path


def trials() -> list[optuna.trial.FrozenTrial]:
    """Of the last study."""
    storage = "sqlite:///studies/classification.db"
    return counted(optuna.load_study(study_name=optuna.get_all_study_names(storage)[-1], storage=storage))


def children(workplace: Path) -> dict[str, str]:
    """MLflow's runs: name to status."""
    client = MlflowClient(tracking_uri=f"sqlite:///{workplace}/mlflow.db")
    found = client.search_runs([client.get_experiment_by_name("pneumothorax").experiment_id])
    names = [run.info.run_name for run in found]
    assert len(set(names)) == len(names), names
    parents = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    assert [run.info.run_name for run in parents] == ["tune_classification"]
    return {run.info.run_name: run.info.status for run in found}


def test_a_study_twice_has_the_same_trials_and_more_trials_go_on(workplace: Path) -> None:
    found = run(STUDY.model_copy(update={"trials": 1}))
    assert found["trials"] == {"complete": 1}
    again = run()
    assert again["study"] == found["study"]
    first = [(t.params, t.value) for t in trials()]
    assert len(first) == 3
    Path("studies/classification.db").unlink()
    run()
    assert [(t.params, t.value) for t in trials()] == first


def test_a_failing_trial_is_marked_and_a_large_one_gets_a_smaller_batch(workplace: Path) -> None:
    class Fragile(Objective):
        def loss(self, output: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            if len(batch["image"]) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory")
            loss = super().loss(output, batch)
            return loss * float("nan") if self.settings.gamma > 2 else loss

    study = STUDY.model_copy(update={"space": {"gamma": SearchRange(choices=[0.0, 3.0])}, "trials": 4})
    found = run(study, judge=Fragile)
    table = pd.read_csv(BEST.with_name("trials.csv"))
    failed = table["gamma"] == 3.0
    assert set(table.loc[failed, "state"]) == {"failed"}
    assert table.loc[failed, "reason"].str.contains("FloatingPointError: the loss is not finite").all()
    assert set(table.loc[~failed, "state"]) == {"complete"}
    assert set(table["batch_size"]) == {2}
    assert found["values"] == {"gamma": 0.0}
    statuses = children(workplace)
    assert [statuses[f"tune_classification trial {n}"] for n in range(4)] == [
        "FAILED" if bad else "FINISHED" for bad in failed
    ]


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"trials": 50}, True),
        ({"storage": "journal"}, True),
        ({"seed": 1}, False),
        ({"space": {"lr": SearchRange(low=1e-3, high=1.0)}}, False),
        ({"overrides": {"epochs": 4}}, False),
        ({"fold": 1}, False),
    ],
)
def test_what_makes_trials_comparable_names_the_study(
    workplace: Path, change: dict[str, Any], same: bool
) -> None:
    assert (name_of() == name_of(STUDY.model_copy(update=change))) == same


def test_other_data_are_another_study(workplace: Path) -> None:
    before, path = name_of(), Path("data/prepared/folds.csv")
    folds = pd.read_csv(path, dtype=str)
    folds["fold"] = folds["fold"].replace({"0": "1", "1": "0"})
    folds.to_csv(path, index=False)
    assert name_of() != before


SLOW = """
import sys, time
from tests.experiments.tuning import test_study as t
from classification.objective import Objective
class Slow(Objective):
    def loss(self, output, batch):
        open("steps", "a").write("x")
        time.sleep(0.3)
        return super().loss(output, batch)
t.run(judge=Slow)
"""


@pytest.mark.slow
def test_a_study_killed_in_mid_trial_ends_as_one_that_was_not(workplace: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[3])!r})\n{SLOW}"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    until = time.monotonic() + 120
    while not (
        Path("steps").exists() and len(Path("steps").read_text()) >= 4
    ):  # two steps an epoch, in trial 1 by then
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not BEST.exists()
    killed = run()
    assert max(starts(trial) for trial in trials()) == 2
    assert children(workplace) == {
        "tune_classification": "FINISHED",
        **{f"tune_classification trial {n}": "FINISHED" for n in range(3)},
    }
    Path("studies/classification.db").unlink()
    assert run() == killed
    assert list(Path("studies").glob("*/")) == []
