"""What can be compared: whole experiments with their hold-out results, and single runs with their curves.

An experiment is read from the MLflow run of its evaluation, or from a checkout's `reports/evaluation`; both hold the same
files. The trainings behind it are found by the SHA-256 of the weights that its decision names, never by ids in files. A recipe
that was trained with several seeds is one experiment.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from experiments import run_group
from experiments.compare import seed_runs
from experiments.monitoring.pseudonyms import OUT_OF_FOLD, PSEUDONYMS, pseudonyms
from imaging.io.files import read_json, sha256

CURVES = ("train/loss", "val/loss", "val/score")
MOST = 5000
"""Runs that a query may find."""


@dataclass(frozen=True)
class Curve:
    """One training or trial: its last values, and its curves as metric -> [(epoch, value), …]."""

    name: str
    owner: str
    stage: str
    status: str
    last: dict[str, float]
    points: dict[str, list[tuple[int, float]]]


@dataclass(frozen=True)
class Result:
    """One experiment: the hold-out's metrics {name: {value, low, high}}, one row per image, and the trainings behind it.

    nested: the decision's nested out-of-fold score {value, low, high}; out_of_fold: one row per training image, None where the
    table of out-of-fold predictions is not found. seeds: the training seeds in words, empty where they are not known; others:
    the same recipe trained with other seeds."""

    name: str
    made: str
    metrics: dict[str, dict[str, float | None]]
    images: pd.DataFrame
    curves: list[Curve] = field(default_factory=list)
    nested: dict[str, float | None] = field(default_factory=dict)
    out_of_fold: pd.DataFrame | None = None
    seeds: str = ""
    others: list[Result] = field(default_factory=list)

    @property
    def trainings(self) -> list[Result]:
        """One result for each seed, this one first."""
        return [self, *self.others]


def from_folder(folder: Path, client: MlflowClient) -> Result:
    """The experiment of a checkout, with its other seeds as kept by `experiments.seeds`; a ValueError says what is
    missing."""
    reports = folder / "reports" / "evaluation"
    made = pd.Timestamp((reports / "metrics.json").stat().st_mtime, unit="s").strftime("%Y-%m-%d %H:%M")
    decision = folder / "models" / "ensemble" / "decision.json"
    name = folder.resolve().name
    curves = trainings(client, read_json(decision), name) if decision.exists() else []
    result = _result(name, made, reports / "metrics.json", reports / "report" / "per_image.csv", curves)
    table = folder / "reports" / "ensemble" / OUT_OF_FOLD
    kept = seed_runs.of_metrics(folder / seed_runs.FOLDER, reports / "metrics.json")
    return replace(
        result,
        nested=_nested(decision),
        out_of_fold=_if_there(table),
        seeds=kept.own,
        others=[from_seed(one, name, made) for one in kept.others],
    )


def from_seed(folder: Path, name: str, made: str = "") -> Result:
    """The results of one seed that `experiments.seeds` has kept."""
    result = _result(name, made, folder / "metrics.json", folder / seed_runs.IMAGES, [])
    return replace(
        result,
        nested=_nested(folder / "decision.json"),
        out_of_fold=_if_there(folder / OUT_OF_FOLD),
        seeds=folder.name,
    )


def from_run(client: MlflowClient, run: Run) -> Result:
    """The experiment whose evaluation is this run."""
    logged = {one.path for one in client.list_artifacts(run.info.run_id)}
    images = PSEUDONYMS if PSEUDONYMS in logged else "per_image.csv"  # as earlier versions logged it
    files = ("metrics.json", images, "decision.json")
    path = {name: Path(client.download_artifacts(run.info.run_id, name)) for name in files}
    name = run.data.tags.get("experiment", run.info.run_id[:8])
    curves = trainings(client, read_json(path["decision.json"]), name)
    result = _result(name, _time(run), path["metrics.json"], path[images], curves)
    nested, table = _nested(path["decision.json"]), _logged_out_of_fold(client, path["decision.json"])
    return replace(result, nested=nested, out_of_fold=table, seeds=run.data.tags.get("seeds", ""))


def _logged_out_of_fold(client: MlflowClient, decision: Path) -> pd.DataFrame | None:
    """The out-of-fold table, with pseudonyms, of the run that fitted a decision; None where there is none."""
    for run in search(client, f"tags.output_sha256 = '{sha256(decision)}'"):
        if OUT_OF_FOLD in {one.path for one in client.list_artifacts(run.info.run_id)}:
            return _images(Path(client.download_artifacts(run.info.run_id, OUT_OF_FOLD)))
    return None


def _if_there(table: Path) -> pd.DataFrame | None:
    """A table of images with pseudonyms; None where the file is missing."""
    return pseudonyms(_images(table)) if table.is_file() else None


def _nested(decision: Path) -> dict[str, float | None]:
    """A decision's nested out-of-fold score; {} without one."""
    return dict(read_json(decision)["fitted"].get("nested_score", {})) if decision.exists() else {}


def _images(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"image_id": str, "patient_id": str})


def _result(name: str, made: str, metrics: Path, images: Path, curves: list[Curve]) -> Result:
    if not images.is_file():
        raise ValueError(f"{images}: missing; run `dvc repro evaluate`, or `dvc pull`")
    table = _images(images)
    return Result(
        name, made, read_json(metrics), table if images.name == PSEUDONYMS else pseudonyms(table), curves
    )


def trainings(client: MlflowClient, decision: dict[str, Any], owner: str) -> list[Curve]:
    """The trainings whose weights a decision was fitted on, as far as this MLflow knows them; the newest of equal ones."""
    found = []
    for member in decision["fitted"].get("lineage", {}).values():
        for weights in member["weights"].values():
            runs = search(client, f"tags.output_sha256 = '{weights}'")
            found += [curve(client, run, owner) for run in runs[:1]]
    return found


def curve(client: MlflowClient, run: Run, owner: str | None = None) -> Curve:
    """A run's curves."""
    tags, run_id = run.data.tags, run.info.run_id
    points = {
        key: [(one.step, one.value) for one in client.get_metric_history(run_id, key)]
        for key in CURVES
        if key in run.data.metrics
    }
    owner = owner or tags.get("experiment", run_id[:8])
    return Curve(run.info.run_name, owner, tags.get("stage", ""), run.info.status, run.data.metrics, points)


def search(client: MlflowClient, query: str = "") -> list[Run]:
    """Runs of this project's MLflow experiment, the newest first; a ValueError explains a query that MLflow refuses."""
    experiment = client.get_experiment_by_name(run_group.EXPERIMENT)
    if experiment is None:
        return []
    try:
        found = client.search_runs([experiment.experiment_id], query, max_results=MOST)
    except Exception as error:
        raise ValueError(
            f"query {query!r}: {str(error).splitlines()[0]} "
            "Write e.g. \"tags.stage = 'train_segmentation' and metrics.`val/score` > 0.5\""
        ) from error
    return list(found)


def select(
    client: MlflowClient, names: list[str], tags: dict[str, str], query: str
) -> tuple[list[Result], list[Curve]]:
    """Experiments and single runs by folder, experiment name, run name or the start of a run id, by tag or by query.

    Without any, every experiment that was evaluated, the newest evaluation of each. A ValueError names what is not found.
    """
    clauses = [f"tags.`{key}` = '{value}'" for key, value in tags.items()] + ([query] if query else [])
    known = search(client, " and ".join(clauses))
    chosen: list[Run | Path] = []
    for name in names:
        if (Path(name) / "reports/evaluation/metrics.json").is_file():
            chosen.append(Path(name))
            continue
        matching = [run for run in known if named(run, name)]
        if not matching:
            there = sorted({run.data.tags.get("experiment", "") for run in known} - {""})
            raise ValueError(
                f"{name!r}: no folder with reports/evaluation/metrics.json, and no run of this name in MLflow; "
                f"experiments there: {', '.join(there) or 'none'}"
            )
        chosen += _each_seed([run for run in matching if is_evaluation(run)]) or matching
    if not names:
        chosen += _newest(known if clauses else [run for run in known if is_evaluation(run)])
    results = [_experiment(client, one) for one in _by_recipe(chosen)]
    single = [one for one in chosen if isinstance(one, Run) and not is_evaluation(one)]
    return results, [curve(client, run) for run in single]


def _by_recipe(chosen: list[Run | Path]) -> list[list[Run] | Path]:
    """Folders as they are, and the evaluations of one recipe under one name, which differ in their seeds."""
    groups: dict[tuple[str, str], list[Run] | Path] = {}
    for one in chosen:
        if isinstance(one, Path):
            groups[("folder", str(one))] = one
        elif is_evaluation(one):
            same = groups.setdefault(_recipe_of(one), [])
            assert isinstance(same, list)
            same.append(one)
    return list(groups.values())


def _experiment(client: MlflowClient, of: list[Run] | Path) -> Result:
    """The experiment of a folder or of the evaluations of one recipe."""
    if isinstance(of, Path):
        return from_folder(of, client)
    first, *others = [from_run(client, run) for run in of]
    return replace(first, others=others)


def _recipe_of(run: Run) -> tuple[str, str]:
    """The experiment's name, and the fingerprint of its params without the seeds."""
    tags = run.data.tags
    return tags.get("experiment", run.info.run_id), tags.get("recipe_fingerprint", "")


def named(run: Run, name: str) -> bool:
    """Whether `name` means this run: its experiment's name, its own name or the start of its id."""
    full = run.info.run_name or ""
    return name in (run.data.tags.get("experiment"), full, full.partition(" (")[0]) or (
        len(name) >= 6 and run.info.run_id.startswith(name)
    )


def is_evaluation(run: Run) -> bool:
    """Whether a run is a finished evaluation."""
    return run.data.tags.get("stage") == "evaluate" and run.info.status == "FINISHED"


def _each_seed(evaluations: list[Run]) -> list[Run]:
    """The evaluations of the newest recipe, one for each seed, from an experiment's evaluations, newest first."""
    same = [run for run in evaluations if _recipe_of(run) == _recipe_of(evaluations[0])]
    return list({run.data.tags.get("seeds", ""): run for run in reversed(same)}.values())


def _newest(runs: list[Run]) -> list[Run]:
    """One evaluation for each seed of an experiment's newest recipe, the oldest experiment first; single runs as they are."""
    names = dict.fromkeys(
        run.data.tags.get("experiment", run.info.run_id) for run in runs if is_evaluation(run)
    )
    chosen = {
        name: _each_seed([run for run in runs if is_evaluation(run) and _recipe_of(run)[0] == name])
        for name in names
    }
    kept: dict[str, list[Run]] = {}
    for run in runs:
        key = _recipe_of(run)[0] if is_evaluation(run) else run.info.run_id
        kept.setdefault(key, chosen.get(key, [run]))
    return [run for group in reversed(kept.values()) for run in group]


def _time(run: Run) -> str:
    return pd.Timestamp(run.info.start_time, unit="ms").strftime("%Y-%m-%d %H:%M")
