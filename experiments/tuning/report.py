"""Report a finished study in `reports/tuning/<stage>/`: best.json for the trainings, tables and figures for readers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import optuna.visualization as plotly
import pandas as pd
from optuna.trial import TrialState

from experiments.training import tuned_params
from experiments.tuning import figures as study_figures
from experiments.tuning.engine import reason
from experiments.tuning.trials import counted, position, starts
from imaging.io.files import atomic, write_text
from imaging.plotting import new_figure, save

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def write(study: optuna.Study, stage: str) -> list[Path]:
    """Write best.json, trials.csv, four pictures with their overview study.png, and study.html; returns all but best.json.

    ValueError when no trial has a score, with the trials' own reasons.
    """
    found = best(study)
    folder = tuned_params.path_of(stage).parent
    with atomic(folder / "trials.csv") as temporary:
        table(study).to_csv(temporary, index=False)
    pictures = draw(study, folder)
    write_text(folder / "study.html", page(study))
    tuned_params.write(stage, found)
    return [folder / "trials.csv", *pictures, folder / "study.html"]


def best(study: optuna.Study) -> dict[str, Any]:
    """The best values, their score and trial, and how the study's trials ended."""
    trials = table(study)
    if not (trials["state"] == "complete").any():
        reasons = trials.loc[trials["state"] == "failed", "reason"].value_counts()
        listed = "; ".join(f"{count} x {why}" for why, count in reasons.items())
        raise ValueError(f"no trial of {study.study_name} has a score: {listed or 'none was run'}")
    winner = study.best_trial
    return {
        "values": winner.params,
        "score": winner.value,
        "trial": position(study, winner),
        "trials": {state: int(count) for state, count in trials["state"].value_counts().items()},
        "study": study.study_name,
    }


def draw(study: optuna.Study, folder: Path) -> list[Path]:
    """history.png, importance.png, parallel.png, slice.png and study.png, which has them all."""
    trials, keys, logs, shares = table(study), space(study), log_scaled(study), importance(study)
    figures = {"study": study_figures.overview(trials, keys, logs, shares)}
    figures["history"], axes = new_figure()
    study_figures.history(axes[0], trials)
    figures["importance"], axes = new_figure(6, 1.6 + 0.4 * len(keys))
    study_figures.importance(axes[0], shares)
    figures["parallel"], axes = new_figure(2 + 1.6 * len(keys), 4)
    study_figures.parallel(axes[0], trials, keys, logs)
    figures["slice"], axes = new_figure(3.6 * len(keys), 3.6, columns=len(keys))
    study_figures.slices(axes, trials, keys, logs)
    for name, figure in figures.items():
        save(figure, folder / f"{name}.png")
    return [folder / f"{name}.png" for name in figures]


def page(study: optuna.Study) -> str:
    """The same figures, interactive, as one HTML file that needs no network."""
    pictures = [plotly.plot_optimization_history(study)]
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if importance(study):
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        pictures.append(plotly.plot_param_importances(study, evaluator=evaluator))
    if len(complete) > 1:
        pictures.append(plotly.plot_parallel_coordinate(study))
    pictures.append(plotly.plot_slice(study))
    parts = [
        picture.to_html(
            full_html=False,
            include_plotlyjs=place == 0,  # once, embedded in the file: nothing is fetched
            div_id=f"picture{place}",
            config={"displaylogo": False},
        )
        for place, picture in enumerate(pictures)
    ]
    head = f"<!DOCTYPE html><html lang='en'><meta charset='utf-8'><title>{study.study_name}</title>"
    return f"{head}<body style='font-family: sans-serif'><h1>{study.study_name}</h1>{''.join(parts)}</body></html>\n"


def table(study: optuna.Study) -> pd.DataFrame:
    """One row for each trial: number, state, score, one column for each varied setting, epochs (reported), batch_size, starts
    (processes that have begun it), reason (of a failure), seconds (of its last start).

    The score of a pruned trial is its last report; a failed one has none.
    """
    keys = space(study)
    rows = [
        {
            "trial": number,
            "state": STATES[trial.state],
            "score": trial.value if trial.state != TrialState.FAIL else None,
            **{key: trial.params.get(key) for key in keys},
            "epochs": trial.last_step or 0,
            "batch_size": trial.user_attrs.get("batch_size"),
            "starts": starts(trial),
            "reason": reason(trial),
            "seconds": round(trial.duration.total_seconds(), 1) if trial.duration else None,
        }
        for number, trial in enumerate(counted(study))
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
