"""One engine for both stages' studies: Optuna chooses numbers, a short training on one fold judges them.

A study lives in `studies/<stage>.db`, outside DVC's outputs, under a name made of the data's fingerprint and the search
space: a killed study goes on with the trials it has, changed data or another space begin a new one, and old ones stay
readable. Trials run inside this process, never as DVC experiments.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import lightning.pytorch as pl
import optuna
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn

from experiments import fold, tracking, training, tuned
from experiments.training_settings import TrainingSettings, for_model
from experiments.tuning_settings import TuneSettings
from imaging.files import fingerprint
from imaging.prepared import Prepared
from imaging.settings import validate

T = TypeVar("T", bound=TrainingSettings)
STUDIES = Path("studies")


class Prune(Callback):
    """Tells Optuna the validation score as it comes, and ends a trial that falls behind."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.trial.report(float(trainer.callback_metrics["val/score"]), trainer.current_epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned(f"behind after epoch {trainer.current_epoch + 1}")


def study_name(stage: str, study: TuneSettings, data_fingerprint: str) -> str:
    """Stage and fingerprint of all that makes two studies comparable; the number of trials does not."""
    return f"{stage}-{fingerprint(study.model_dump(mode='json', exclude={'trials'}), data_fingerprint)}"


def make_sampler(study: TuneSettings, finished: int) -> optuna.samplers.BaseSampler:
    """The sampler by name; its seed moves on with the finished trials, or a resumed study would repeat its first draws."""
    seed = study.seed + finished
    if study.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if study.sampler == "cmaes":
        return optuna.samplers.CmaEsSampler(seed=seed)
    return optuna.samplers.TPESampler(
        multivariate=True, seed=seed, n_startup_trials=max(4, study.trials // 4)
    )


def make_pruner(study: TuneSettings) -> optuna.pruners.BasePruner:
    """The pruner by name."""
    if study.pruner == "none":
        return optuna.pruners.NopPruner()
    return (
        optuna.pruners.HyperbandPruner()
        if study.pruner == "hyperband"
        else optuna.pruners.MedianPruner(n_startup_trials=4)
    )


def open_study(stage: str, study: TuneSettings, data_fingerprint: str) -> optuna.Study:
    """Create the study or go on with it; a trial that was running when its process died is marked as failed."""
    STUDIES.mkdir(exist_ok=True)
    opened = optuna.create_study(
        storage=f"sqlite:///{STUDIES / stage}.db",
        study_name=study_name(stage, study, data_fingerprint),
        direction="maximize",
        load_if_exists=True,
        pruner=make_pruner(study),
    )
    for trial in opened.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        opened.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return opened


def done(study: optuna.Study) -> int:
    """Trials that count towards the budget: complete and pruned ones, and failed ones that were not merely killed."""
    counted = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    failed = [t for t in study.get_trials(states=(optuna.trial.TrialState.FAIL,)) if "reason" in t.user_attrs]
    return len(study.get_trials(deepcopy=False, states=counted)) + len(failed)


def tune(
    stage: str,
    section: T,
    study: TuneSettings,
    build: Callable[[T], nn.Module],
    objective: Callable[[T], training.Objective],
) -> None:
    """Run the study's missing trials and write `reports/tuning/<stage>/best.json`."""
    prepared = Prepared()
    opened = open_study(stage, study, prepared.fingerprint)
    tags = {"stage": f"tune_{stage}", "study": opened.study_name, "data_fingerprint": prepared.fingerprint}
    params = {f"tune_{stage}": study.model_dump(mode="json")}
    with tracking.start(f"tune_{stage}", tags, params, _memory(opened)) as parent:
        while done(opened) < study.trials:
            opened.sampler = make_sampler(study, len(opened.trials))
            opened.optimize(
                lambda trial: _trial(trial, stage, section, study, build, objective, prepared, parent),
                n_trials=1,
            )
        parent.metrics({"best_score": opened.best_value})
    _memory(opened).unlink(missing_ok=True)
    best = opened.best_trial
    found = {"values": best.params, "score": best.value, "trial": best.number}
    tuned.write(stage, {**found, "trials": len(opened.trials), "study": opened.study_name})


def _trial(
    trial: optuna.Trial,
    stage: str,
    section: T,
    study: TuneSettings,
    build: Callable[[T], nn.Module],
    objective: Callable[[T], training.Objective],
    prepared: Prepared,
    parent: tracking.Run,
) -> float:
    values = {
        key: trial.suggest_float(key, room.low, room.high, log=room.log) for key, room in study.space.items()
    }
    settings = for_model(section, section.models[0])
    settings = validate(type(settings), {**settings.model_dump(), **study.overrides, **values}, stage)
    torch.manual_seed(settings.seed)
    train, validation = fold.datasets(prepared, study.fold, settings, share=study.share)
    title = f"tune_{stage} trial {trial.number}"
    scratch = STUDIES / f"{trial.study.study_name}-{trial.number}"
    shutil.rmtree(scratch, ignore_errors=True)
    tags = {"stage": f"tune_{stage}", "trial": str(trial.number)}
    try:
        with tracking.start(title, tags, {stage: settings.model_dump(mode="json")}, parent=parent) as run:
            made = training.fit(
                build(settings),
                objective(settings),
                train,
                validation,
                settings,
                title=title,
                resume=scratch,
                report=run.metrics,
                callbacks=[Prune(trial)],
            )
    except (FloatingPointError, MemoryError, torch.cuda.OutOfMemoryError) as error:
        trial.set_user_attr("reason", f"{type(error).__name__}: {error}"[:500])
        raise optuna.TrialPruned from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return max(row["val/score"] for row in made.history if "val/score" in row)


def _memory(study: optuna.Study) -> Path:
    return STUDIES / f"{study.study_name}.run.json"
