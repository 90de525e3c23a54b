"""A study as a loop: take a trial, judge it, tell the result; by one process or by many, none of which need live to the end.

Every trial's numbers are a function of the study's seed, the trial's number and the trials told before it. One process alone
therefore makes the same trials each time, and a trial whose process died is gone on with under its own number.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from experiments.settings.tuning import SearchRange, TuneSettings
from experiments.tuning.storage import Storage

Values = dict[str, Any]
Evaluate = Callable[[optuna.Trial, Values], float]
MOST_STARTS = 3
"""A trial whose process died this often is the likely cause of it, for example by taking all memory."""

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=ExperimentalWarning, module=r"optuna|experiments")


def make_sampler(settings: TuneSettings, number: int, place: int) -> optuna.samplers.BaseSampler:
    """The sampler by name for one number of one trial.

    Seeded for each, or a study that goes on would draw its first numbers again; and a number that was drawn before a kill
    does not move the others.
    """
    seed = int(np.random.SeedSequence((settings.seed, number, place)).generate_state(1)[0])
    # A model of three dimensions says nothing from fewer points; as many again is what a sequential design begins with.
    startup = 2 * len(settings.space) + 2
    if settings.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if settings.sampler == "gp":
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=startup)
    return optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=startup, multivariate=True, constant_liar=True
    )


def make_pruner(settings: TuneSettings, epochs: int) -> optuna.pruners.BasePruner:
    """The pruner by name; a trial reports after the epochs 1 … `epochs`."""
    if settings.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(max_resource=max(epochs, 2))
    return (
        optuna.pruners.MedianPruner(n_startup_trials=4)
        if settings.pruner == "median"
        else optuna.pruners.NopPruner()
    )


def open_study(
    storage: Storage, name: str, pruner: optuna.pruners.BasePruner, join: bool = False
) -> optuna.Study:
    """Create the study or go on with it; with `join` it must be there already."""
    with storage.alone():
        there = optuna.get_all_study_names(storage.backend)
        if join and name not in there:
            raise ValueError(
                f"storage holds no study {name} (but {', '.join(there) or 'none'}): this machine's prepared data or params "
                "differ from those of the process that began it, or it is not begun; begin it without --join"
            )
        return optuna.create_study(
            storage=storage.backend,
            study_name=name,
            pruner=pruner,
            direction="maximize",
            load_if_exists=True,
        )


def suggest(trial: optuna.Trial, settings: TuneSettings) -> Values:
    """The trial's values by key: those it has already, the others drawn."""
    values = {}
    for place, (key, room) in enumerate(settings.space.items()):
        trial.study.sampler = make_sampler(settings, trial.number, place)
        values[key] = _draw(trial, key, room)
    return values


def _draw(trial: optuna.Trial, key: str, room: SearchRange) -> Any:
    if room.choices is not None:
        return trial.suggest_categorical(key, room.choices)
    assert room.low is not None
    assert room.high is not None
    if room.integer:
        return trial.suggest_int(key, int(room.low), int(room.high), log=room.log)
    return trial.suggest_float(key, room.low, room.high, log=room.log)


def given_out(study: optuna.Study) -> int:
    """Trials that count towards the budget: all but those that failed without a reason of their own."""
    trials = study.get_trials(deepcopy=False)
    return sum(trial.state != TrialState.FAIL or "reason" in trial.user_attrs for trial in trials)


def claim(
    study: optuna.Study, storage: Storage, settings: TuneSettings
) -> tuple[optuna.Trial, Values] | None:
    """The next trial of this process: one whose process died, else a fresh one; None when all are given out."""
    with storage.alone():
        for left in storage.abandoned(study):
            try:
                if taken := _go_on(study, storage, left):
                    return taken, suggest(taken, settings)
            except UpdateFinishedTrialError:  # its process was only slow, and has told it by now
                continue
        if given_out(study) >= settings.trials:
            return None
        study.sampler = make_sampler(settings, len(study.get_trials(deepcopy=False)), 0)
        trial = study.ask()
        storage.sign(trial)
        return trial, suggest(trial, settings)


def _go_on(study: optuna.Study, storage: Storage, left: FrozenTrial) -> optuna.Trial | None:
    """The trial as this process' own; None, and failed, when it has outlived too many processes."""
    starts = left.user_attrs.get("starts", 1)
    trial = optuna.Trial(study, left._trial_id)
    if starts >= MOST_STARTS:
        fail(study, trial, f"its process died {starts} times")
        return None
    trial.set_user_attr("starts", starts + 1)
    storage.sign(trial)
    return trial


def fail(study: optuna.Study, trial: optuna.Trial, reason: str) -> None:
    """End a trial as failed, with its reason; the study goes on."""
    trial.set_user_attr("reason", reason[:500])
    study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def work(study: optuna.Study, storage: Storage, settings: TuneSettings, evaluate: Evaluate) -> None:
    """Take trials until all are told, waiting at the end for those of other processes: they might die.

    `evaluate` returns the score, raises TrialPruned, or FloatingPointError or MemoryError for a trial that cannot be judged. Any
    other exception is a fault of the program: it ends the process, and the trial waits for the next start.
    """
    while True:
        claimed = claim(study, storage, settings)
        if claimed is not None:
            trial, values = claimed
            with storage.working(trial):
                _judge(study, trial, values, evaluate)
            print(said(study, trial.number), flush=True)
        elif study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            time.sleep(min(settings.heartbeat, 2))
        else:
            return


def _judge(study: optuna.Study, trial: optuna.Trial, values: Values, evaluate: Evaluate) -> None:
    try:
        score = evaluate(trial, values)
    except optuna.TrialPruned:
        study.tell(trial.number, state=TrialState.PRUNED, skip_if_finished=True)
    except (FloatingPointError, MemoryError) as error:
        fail(study, trial, f"{type(error).__name__}: {error}")
    else:
        study.tell(trial.number, score, skip_if_finished=True)


def said(study: optuna.Study, number: int) -> str:
    """One line about a trial that has ended."""
    trial = study.get_trials(deepcopy=False)[number]
    values = "  ".join(f"{key} {_short(value)}" for key, value in trial.params.items())
    if trial.state == TrialState.FAIL:
        return f"trial {number}  failed  {values}  ({trial.user_attrs['reason']})"
    pruned = "  pruned" if trial.state == TrialState.PRUNED else ""
    return f"trial {number}  score {_short(trial.value)}{pruned}  {values}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
