"""The study of a stage: Optuna chooses settings, and a short training on one fold scores them.

A study is stored outside DVC's outputs. Its name is a fingerprint of everything that makes its trials comparable: the data, the
search space, the proxy. A killed study continues with the trials it has; other data or another space start a new one, and old
ones stay readable. Trials run inside this process, never as DVC experiments.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import optuna
import torch
from torch import nn

from experiments import tracking
from experiments.networks import earlier_run
from experiments.settings.common import PROCESSES, TrainingSettings
from experiments.settings.training import phases_of
from experiments.settings.tuning import TuneSettings, of_trial
from experiments.statistics.nested_score import TIE, patient_groups
from experiments.training import learner, phases, train_fold
from experiments.training.checkpoints import Trained
from experiments.tuning import report as study_report
from experiments.tuning.engine import Values, open_study, work
from experiments.tuning.memory import with_less_memory
from experiments.tuning.sampling import make_pruner
from experiments.tuning.storage import STUDIES, open_storage, place_of
from experiments.tuning.trials import frozen, original, position
from imaging.io.files import fingerprint, write_json
from imaging.prepared import Prepared

T = TypeVar("T", bound=TrainingSettings)


def prune(trial: optuna.Trial, row: dict[str, float], epoch: int) -> None:
    """Report an epoch's validation score, if it has one, and end a trial that the pruner abandons."""
    if "val/score" not in row:
        return
    trial.report(row["val/score"], epoch + 1)
    if trial.should_prune():
        raise optuna.TrialPruned(f"pruned after epoch {epoch + 1}")


class Proxy(Generic[T]):
    """The objective of a study: a training on part of the data, validated on one fold by the nested rule."""

    def __init__(
        self,
        stage: str,
        section: T,
        study: TuneSettings,
        build: Callable[[T], nn.Module],
        objective: Callable[[T, train_fold.Groups], learner.Objective],
    ) -> None:
        self.stage, self.section, self.study = stage, section, study
        self.build, self.objective = build, objective
        self.prepared = Prepared()
        rows = train_fold.validation_rows(self.prepared, study.fold, section.needs_masks)
        table = self.prepared.index.iloc[rows]
        self.groups = patient_groups(table["patient_id"].to_numpy())
        self.all_empty = float((table["label"] == 0).mean())

    def settings(self, values: Values) -> T:
        """All settings of a trial."""
        found = of_trial(self.section, self.study, values, f"tune_{self.stage}.space")
        return earlier_run.for_fold(found, self.stage, self.section.models[0], self.study.fold)

    @property
    def epochs(self) -> int:
        """How many epochs a trial has if it is not ended early."""
        return sum(phase.epochs for phase in phases_of(self.settings({})))

    @property
    def name(self) -> str:
        """The study's name; it does not depend on the number of trials or the storage, which change nothing about a trial."""
        own = self.study.model_dump(mode="json", exclude={"trials", "storage", "heartbeat"})
        rest = self.settings({}).model_dump(mode="json", exclude={*self.study.space, *PROCESSES})
        return f"{self.stage}-{fingerprint(own, rest, self.prepared.fingerprint)}"

    def score(self, trial: optuna.Trial, values: Values, parent: tracking.Run) -> float:
        """Train with these settings; the score of the checkpoint that such a training keeps."""
        folder = STUDIES / self.name / f"trial{original(frozen(trial.study, trial))}"
        try:
            made = self._train(trial, self.settings(values), folder, parent)
        except (optuna.TrialPruned, FloatingPointError, MemoryError):
            # After any other end the trial is repeated from the checkpoint in it.
            shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)
        return made.metrics["score"]

    def _train(self, trial: optuna.Trial, settings: T, folder: Path, parent: tracking.Run) -> Trained:
        number = position(trial.study, frozen(trial.study, trial))
        title = f"tune_{self.stage} trial {number}"
        tags = {"stage": f"tune_{self.stage}", "study": self.name, "trial": str(number)}
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
    objective: Callable[[T, train_fold.Groups], learner.Objective],
    join: bool = False,
) -> None:
    """Run the study's missing trials and write `reports/tuning/<stage>/`; with `join` help another process with them."""
    proxy = Proxy(stage, section, study, build, objective)
    storage = open_storage(place_of(stage, study), study.heartbeat)
    opened = open_study(storage, proxy.name, make_pruner(study, proxy.epochs), join)
    if join:
        parent = tracking.Run(None, opened.user_attrs.get("run", ""))
        return work(opened, study, lambda trial, values: proxy.score(trial, values, parent))
    tags = {"stage": f"tune_{stage}", "study": proxy.name, "data_fingerprint": proxy.prepared.fingerprint}
    params = {f"tune_{stage}": study.model_dump(mode="json")}
    memory = STUDIES / proxy.name / "run.json"
    with tracking.start(f"tune_{stage}", tags, params, memory) as parent:
        opened.set_user_attr("run", parent.run_id)
        work(opened, study, lambda trial, values: proxy.score(trial, values, parent))
        for path in study_report.write(opened, stage):
            parent.file(path, "study")
        parent.metrics({"best_score": opened.best_value, "all_empty": proxy.all_empty})
    if opened.best_value <= proxy.all_empty + TIE:
        print(
            f"no trial scored higher than leaving every mask empty ({proxy.all_empty:.3f}): give the proxy more "
            f"epochs, images or pixels (tune_{stage}.overrides, share)"
        )
    shutil.rmtree(memory.parent, ignore_errors=True)
    return None


def _run_of(trial: optuna.Trial, folder: Path) -> Path:
    """The file with the trial's MLflow run id; for a trial that was begun on another machine, from the study."""
    memory = folder / "run.json"
    if trial.user_attrs.get("run") and not memory.exists():
        write_json(
            memory,
            {"run_id": trial.user_attrs["run"], "uri": tracking.without_passwords(tracking.tracking_uri())},
        )
    return memory
