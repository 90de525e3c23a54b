"""The study of a stage: Optuna chooses settings, a short training on one fold judges them.

A study lies outside DVC's outputs, under a name made of all that makes its trials comparable: the data, the search space, the
proxy. A killed study goes on with the trials it has; other data or another space begin a new one, and old ones stay
readable. Trials run inside this process, never as DVC experiments.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import optuna
import torch
from numpy.typing import NDArray
from torch import nn

from experiments import tracking
from experiments.settings.training import PROCESSES, TrainingSettings, phases_of
from experiments.settings.tuning import TuneSettings, of_trial
from experiments.statistics.nested_score import TIE, patient_groups
from experiments.training import loop, phases, train_fold
from experiments.training.checkpoints import Trained
from experiments.tuning import report as study_report
from experiments.tuning.engine import Values, make_pruner, open_study, work
from experiments.tuning.memory import with_less_memory
from experiments.tuning.storage import STUDIES, open_storage, place_of
from imaging.io.files import fingerprint, write_json
from imaging.prepared import Prepared

T = TypeVar("T", bound=TrainingSettings)
Groups = NDArray[np.int64]


def prune(trial: optuna.Trial, row: dict[str, float], epoch: int) -> None:
    """Tell Optuna an epoch's validation score, if it has one, and end a trial that falls behind."""
    if "val/score" not in row:
        return
    trial.report(row["val/score"], epoch + 1)
    if trial.should_prune():
        raise optuna.TrialPruned(f"behind after epoch {epoch + 1}")


class Proxy(Generic[T]):
    """What judges a trial: a training on part of the data, validated on one fold by the nested rule."""

    def __init__(
        self,
        stage: str,
        section: T,
        study: TuneSettings,
        build: Callable[[T], nn.Module],
        objective: Callable[[T, Groups], loop.Objective],
    ) -> None:
        self.stage, self.section, self.study = stage, section, study
        self.build, self.objective = build, objective
        self.prepared = Prepared()
        rows = self.prepared.fold_rows(study.fold)
        table = self.prepared.index.iloc[rows]
        self.groups = patient_groups(table["patient_id"].to_numpy())
        self.all_empty = float((table["label"] == 0).mean())

    def settings(self, values: Values) -> T:
        """All settings of a trial."""
        return of_trial(self.section, self.study, values, f"tune_{self.stage}.space")

    @property
    def epochs(self) -> int:
        """How many epochs a trial has if it is not ended early."""
        return sum(phase.epochs for phase in phases_of(self.settings({})))

    @property
    def name(self) -> str:
        """Names the study; how many trials there are, and where it lies, changes nothing about a trial."""
        own = self.study.model_dump(mode="json", exclude={"trials", "storage", "heartbeat"})
        rest = self.settings({}).model_dump(mode="json", exclude={*self.study.space, *PROCESSES})
        return f"{self.stage}-{fingerprint(own, rest, self.prepared.fingerprint)}"

    def judge(self, trial: optuna.Trial, values: Values, parent: tracking.Run) -> float:
        """The trial's score: that of the weights that a training with these settings would keep."""
        folder = STUDIES / self.name / f"trial{trial.number}"
        try:
            made = self._train(trial, self.settings(values), folder, parent)
        except (optuna.TrialPruned, FloatingPointError, MemoryError):
            # After any other end the trial is gone on with, from what lies there.
            shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)
        return made.metrics["score"]

    def _train(self, trial: optuna.Trial, settings: T, folder: Path, parent: tracking.Run) -> Trained:
        title = f"tune_{self.stage} trial {trial.number}"
        tags = {"stage": f"tune_{self.stage}", "study": self.name, "trial": str(trial.number)}
        params = {self.stage: settings.model_dump(mode="json")}

        def report(row: dict[str, float], epoch: int) -> None:
            run.metrics(row, epoch)
            prune(trial, row, epoch)

        def attempt(smaller: T) -> Trained:
            trial.set_user_attr("batch_size", smaller.batch_size)
            torch.manual_seed(smaller.seed)
            return phases.fit(
                self.build(smaller),
                smaller,
                lambda phase: self.objective(phase, self.groups),
                lambda phase: train_fold.datasets(
                    self.prepared, self.study.fold, phase, share=self.study.share
                ),
                title=title,
                resume=folder / f"batch{smaller.batch_size}",
                report=report,
            )

        memory = _run_of(trial, folder)
        with tracking.start(title, tags, params, memory, parent=parent) as run:
            trial.set_user_attr("run", run.run_id)
            return with_less_memory(settings, attempt)


def tune(
    stage: str,
    section: T,
    study: TuneSettings,
    build: Callable[[T], nn.Module],
    objective: Callable[[T, Groups], loop.Objective],
    join: bool = False,
) -> None:
    """Run the study's missing trials and write `reports/tuning/<stage>/`; with `join` only lend another process a hand."""
    proxy = Proxy(stage, section, study, build, objective)
    storage = open_storage(place_of(stage, study), study.heartbeat)
    opened = open_study(storage, proxy.name, make_pruner(study, proxy.epochs), join)
    if join:
        parent = tracking.Run(None, opened.user_attrs.get("run", ""))
        return work(opened, storage, study, lambda trial, values: proxy.judge(trial, values, parent))
    tags = {"stage": f"tune_{stage}", "study": proxy.name, "data_fingerprint": proxy.prepared.fingerprint}
    params = {f"tune_{stage}": study.model_dump(mode="json")}
    memory = STUDIES / proxy.name / "run.json"
    with tracking.start(f"tune_{stage}", tags, params, memory) as parent:
        opened.set_user_attr("run", parent.run_id)
        work(opened, storage, study, lambda trial, values: proxy.judge(trial, values, parent))
        for path in study_report.write(opened, stage):
            parent.file(path, "study")
        parent.metrics({"best_score": opened.best_value, "all_empty": proxy.all_empty})
    if opened.best_value <= proxy.all_empty + TIE:
        print(
            f"no trial earned more than leaving every mask empty ({proxy.all_empty:.3f}): give the proxy more epochs, images or "
            f"pixels (tune_{stage}.overrides, share)"
        )
    shutil.rmtree(memory.parent, ignore_errors=True)
    return None


def _run_of(trial: optuna.Trial, folder: Path) -> Path:
    """Where the trial's MLflow run is remembered; of a trial that died on another machine, as the study remembers it."""
    memory = folder / "run.json"
    if trial.user_attrs.get("run") and not memory.exists():
        write_json(
            memory,
            {"run_id": trial.user_attrs["run"], "uri": tracking.without_passwords(tracking.tracking_uri())},
        )
    return memory
