"""Run a study's trials with Optuna in one or many processes, any of which may be killed: no trial is lost, none is run twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from experiments.settings.tuning import TuneSettings
from experiments.tuning.sampling import SeededSampler, suggest
from experiments.tuning.storage import MOST_STARTS, retry
from experiments.tuning.trials import (
    PROCESS,
    REASON,
    SURPLUS,
    counted,
    fail_dead,
    frozen,
    position,
    sign,
    starts,
    this_process,
)

Values = dict[str, Any]
Evaluate = Callable[[optuna.Trial, Values], float]
NO_SCORE = (FloatingPointError, MemoryError)
"""Errors of a trial's own values: it fails, and the study goes on."""

optuna.logging.set_verbosity(optuna.logging.ERROR)


class Surplus(Exception):
    """Another worker began the last trial of the budget at the same moment."""


def open_study(
    storage: BaseStorage, name: str, pruner: optuna.pruners.BasePruner, join: bool = False
) -> optuna.Study:
    """Create the study or continue it; with `join` it must exist already."""
    existing = optuna.get_all_study_names(storage)
    if join and name not in existing:
        raise ValueError(
            f"storage has no study {name} (found: {', '.join(existing) or 'none'}): this machine's prepared data or params "
            "differ from those of the process that started it, or it was never started; start it without --join"
        )
    return optuna.create_study(
        storage=storage, study_name=name, pruner=pruner, direction="maximize", load_if_exists=True
    )


def work(study: optuna.Study, settings: TuneSettings, evaluate: Evaluate) -> None:
    """Run trials until the budget is used up, and wait at the end for those of other processes, which may be killed.

    `evaluate` returns the score, or raises TrialPruned, or FloatingPointError or MemoryError for a trial without a score. Any
    other exception is a bug: it ends the process, and the next start repeats the trial.
    """
    study.sampler = SeededSampler(settings)
    while True:
        fail_dead(study, 3 * settings.heartbeat)
        states = {trial.state for trial in counted(study)}
        if TrialState.WAITING in states or len(counted(study)) < settings.trials:
            _optimize(study, settings, evaluate)
        elif TrialState.RUNNING in states:
            time.sleep(min(settings.heartbeat, 2))
        else:
            return


def _optimize(study: optuna.Study, settings: TuneSettings, evaluate: Evaluate) -> None:
    """Optuna's loop, while trials are left to begin."""

    def objective(trial: optuna.Trial) -> float:
        if position(study, frozen(study, trial)) >= settings.trials:
            trial.set_user_attr(SURPLUS, True)
            raise Surplus
        sign(study, trial)
        values = suggest(trial, settings.space)
        try:
            return evaluate(trial, values)
        except NO_SCORE as error:
            trial.set_user_attr(REASON, f"{type(error).__name__}: {error}"[:500])
            raise

    def ended(study: optuna.Study, trial: FrozenTrial) -> None:
        if SURPLUS not in trial.user_attrs:
            print(summary_line(study, trial), flush=True)
        fail_dead(study, 3 * settings.heartbeat)
        waiting = any(one.state == TrialState.WAITING for one in counted(study))
        if not waiting and len(counted(study)) >= settings.trials:
            study.stop()

    try:
        study.optimize(objective, callbacks=[ended], catch=(*NO_SCORE, Surplus))
    except BaseException:
        _repeat_own(study)
        raise


def _repeat_own(study: optuna.Study) -> None:
    """Queue again the trial of this process that a bug has ended: the next start begins with it."""
    for trial in counted(study):
        own = trial.user_attrs.get(PROCESS) == [starts(trial), this_process()]
        if own and trial.state == TrialState.FAIL and REASON not in trial.user_attrs:
            retry(study, trial)


def summary_line(study: optuna.Study, trial: FrozenTrial) -> str:
    """One line about a trial that has ended."""
    head = f"trial {position(study, trial)}"
    values = "  ".join(f"{key} {_short(value)}" for key, value in trial.params.items())
    if trial.state == TrialState.FAIL:
        return f"{head}  failed  {values}  ({reason(trial)})"
    pruned = "  pruned" if trial.state == TrialState.PRUNED else ""
    return f"{head}  score {_short(trial.value)}{pruned}  {values}"


def reason(trial: FrozenTrial) -> str:
    """Why a trial failed; "" for any other."""
    if trial.state != TrialState.FAIL:
        return ""
    return trial.user_attrs.get(REASON) or f"its process ended {min(starts(trial), MOST_STARTS)} times"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
