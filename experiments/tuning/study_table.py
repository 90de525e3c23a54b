"""A study's trials as a table: what all its pictures are drawn from, and what stays readable without Optuna."""

from __future__ import annotations

import optuna
import pandas as pd
from optuna.trial import TrialState

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def table(study: optuna.Study) -> pd.DataFrame:
    """One row a trial: number, state, score, one column for each varied setting, epochs (looked at), batch_size, starts
    (processes it has outlived, the last included), reason (of a failure), seconds.

    A pruned trial's score is its last look's; a failed one has none.
    """
    keys = space(study)
    rows = [
        {
            "trial": trial.number,
            "state": STATES[trial.state],
            "score": trial.value if trial.state != TrialState.FAIL else None,
            **{key: trial.params.get(key) for key in keys},
            "epochs": trial.last_step or 0,
            "batch_size": trial.user_attrs.get("batch_size"),
            "starts": trial.user_attrs.get("starts", 1),
            "reason": trial.user_attrs.get("reason", ""),
            "seconds": round(trial.duration.total_seconds(), 1) if trial.duration else None,
        }
        for trial in study.get_trials(deepcopy=False)
    ]
    columns = ["trial", "state", "score", *keys, "epochs", "batch_size", "starts", "reason", "seconds"]
    return pd.DataFrame(rows, columns=columns).astype({"score": float, "batch_size": "Int64"})


def space(study: optuna.Study) -> list[str]:
    """The varied settings, in the order in which they were first drawn."""
    found: dict[str, None] = {}
    for trial in study.get_trials(deepcopy=False):
        found |= dict.fromkeys(trial.params)
    return list(found)


def log_scaled(study: optuna.Study) -> set[str]:
    """The settings that were drawn on a logarithmic scale."""
    trials = study.get_trials(deepcopy=False)
    return {key for t in trials for key, room in t.distributions.items() if getattr(room, "log", False)}


def importance(study: optuna.Study) -> dict[str, float]:
    """Share of the score's variance that each setting explains, by fANOVA (Hutter 2014); {} from too few or equal scores."""
    scores = {t.value for t in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))}
    if len(scores) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))
