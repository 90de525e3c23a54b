"""Which trials of a study count, and which have lost their process.

Optuna cannot continue a trial: one whose process ended is failed, and queued again under a new number (a repeat) with its values.
The repeat stands for the first start from then on, and its position among the trials is that of the first start.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import optuna
import psutil
from optuna.trial import FrozenTrial, TrialState

from experiments.tuning.storage import retry

PROCESS, SURPLUS, REASON = "process", "surplus", "reason"
"""User attributes: the process of a running trial, a trial beyond the budget, why a trial failed."""


def original(trial: FrozenTrial) -> int:
    """Number of a trial's first start, by which its checkpoint is found."""
    first = retry.retried_trial_number(trial)
    return trial.number if first is None else first


def starts(trial: FrozenTrial) -> int:
    """How many processes have begun this trial, the last one included."""
    return len(retry.retry_history(trial)) + 1


def counted(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that count towards the budget, in the order of their first starts: the last start of each."""
    last: dict[int, FrozenTrial] = {}
    for trial in study.get_trials(deepcopy=False):
        if SURPLUS not in trial.user_attrs:
            last[original(trial)] = trial
    return [last[number] for number in sorted(last)]


def frozen(study: optuna.Study, trial: optuna.Trial) -> FrozenTrial:
    """What the storage holds of a trial."""
    return study.get_trials(deepcopy=False)[trial.number]


def position(study: optuna.Study, trial: FrozenTrial) -> int:
    """Position of a trial among those that count, from 0: the same whether or not others before it were repeated."""
    return sum(original(one) < original(trial) for one in counted(study))


def sign(study: optuna.Study, trial: optuna.Trial) -> None:
    """Note that this process runs the trial."""
    trial.set_user_attr(PROCESS, [starts(frozen(study, trial)), this_process()])


def this_process() -> str:
    """Name of this process that no other one has: machine, namespace of process ids, id and start time."""
    namespace = Path("/proc/self/ns/pid")
    place = os.readlink(namespace) if namespace.is_symlink() else ""
    return f"{socket.gethostname()} {place} {os.getpid()} {psutil.Process().create_time():.2f}"


def fail_dead(study: optuna.Study, grace: float) -> None:
    """Fail, and queue again, the running trials whose process has ended.

    A process of this machine is looked up; those of others are known by Optuna's heartbeat, in databases. A trial without either
    sign for `grace` seconds lost its process before it could give one.
    """
    optuna.storages.fail_stale_trials(study)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if not _is_alive(trial, grace):
            # The storage lets one process alone end a trial: another one was quicker where it raises.
            with suppress(ValueError, RuntimeError):
                retry(study, study.tell(trial.number, state=TrialState.FAIL))


def _is_alive(trial: FrozenTrial, grace: float) -> bool:
    start, process = trial.user_attrs.get(PROCESS, (0, ""))
    if start != starts(trial):  # not signed yet; a repeat has inherited the signature of the start before it
        assert trial.datetime_start is not None
        return datetime.now() - trial.datetime_start < timedelta(seconds=grace)
    *place, number, began = process.split(" ")
    if place != this_process().split(" ")[:-2]:
        return True
    try:
        return f"{psutil.Process(int(number)).create_time():.2f}" == began
    except psutil.Error:
        return False
