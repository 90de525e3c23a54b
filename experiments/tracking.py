"""MLflow: one run for each execution of a stage, found again after a restart, never a reason for a training to die.

The database is `mlflow.db` at the repository root, by an absolute path, so that a bare `mlflow ui` finds the runs;
MLFLOW_TRACKING_URI names a server instead. Run ids never go into DVC's outputs: those must mean the same without MLflow.
"""

from __future__ import annotations

import logging
import os
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imaging.files import read_json, write_json

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

# On first use MLflow tells of every step of its database's making.
for _name in ("mlflow.store.db.utils", "alembic"):
    logging.getLogger(_name).setLevel(logging.WARNING)

EXPERIMENT = "pneumothorax"
ROOT = Path(__file__).resolve().parents[1]


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, else the SQLite file at the repository root (the working directory of every DVC stage)."""
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if uri:
        return uri
    if ".dvc/tmp/exps" in Path.cwd().as_posix():
        raise ValueError(
            "this experiment runs in DVC's temporary copy, and its MLflow runs would be deleted with it; set "
            "MLFLOW_TRACKING_URI=sqlite:////absolute/path/mlflow.db first, or leave out --temp/--queue"
        )
    return f"sqlite:///{Path.cwd() / 'mlflow.db'}"


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested params as MLflow shows them: {"segmentation": {"lr": .1}} becomes {"segmentation.lr": "0.1"}."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = str(value)
    return flat


class Run:
    """A run being written. If the server fails, it says so once and the work goes on without it."""

    def __init__(self, client: MlflowClient | None, run_id: str) -> None:
        self.client, self.run_id = client, run_id

    def metrics(self, values: dict[str, float], step: int = 0) -> None:
        """Log numbers of one step; again after a restart, the same step has the same values."""
        now = int(time.time() * 1000)
        self._try(
            lambda c: c.log_batch(self.run_id, [Metric(k, float(v), now, step) for k, v in values.items()])
        )

    def params(self, values: dict[str, Any]) -> None:
        """Log nested params flat; they cannot change within a run."""
        self._try(
            lambda c: c.log_batch(
                self.run_id, params=[Param(k, v[:6000]) for k, v in flatten(values).items()]
            )
        )

    def tags(self, values: dict[str, str]) -> None:
        """Set tags, by which runs are grouped and found."""
        self._try(lambda c: c.log_batch(self.run_id, tags=[RunTag(k, v) for k, v in values.items()]))

    def file(self, path: str | Path, folder: str | None = None) -> None:
        """Keep a small file, such as a picture, with the run."""
        self._try(lambda c: c.log_artifact(self.run_id, str(path), folder))

    def text(self, content: str, name: str) -> None:
        """Keep a text with the run."""
        self._try(lambda c: c.log_text(self.run_id, content, name))

    def end(self, status: str) -> None:
        """FINISHED, FAILED or KILLED (MLflow's word for a pruned trial)."""
        self._try(lambda c: c.set_terminated(self.run_id, status))

    def _try(self, call: Any) -> None:
        if self.client is None:
            return
        try:
            call(self.client)
        except (MlflowException, OSError) as error:
            self.client = None
            warnings.warn(
                f"MLflow does not answer ({type(error).__name__}); the work goes on, this run is not logged further",
                stacklevel=3,
            )


@contextmanager
def start(
    name: str,
    tags: dict[str, str],
    params: dict[str, Any],
    memory: Path | None = None,
    parent: Run | None = None,
) -> Iterator[Run]:
    """A run called `name`; `memory` is a small file that finds it again when a killed stage is started once more."""
    run = _open(name, {**tags, **_where()}, memory, parent)
    run.params(params)
    try:
        yield run
    except BaseException as error:
        run.tags({"reason": f"{type(error).__name__}"})
        run.end("KILLED" if type(error).__name__ in {"TrialPruned", "KeyboardInterrupt"} else "FAILED")
        raise
    run.end("FINISHED")


def _open(name: str, tags: dict[str, str], memory: Path | None, parent: Run | None) -> Run:
    uri = tracking_uri()
    client = MlflowClient(tracking_uri=uri)
    try:
        experiment = _experiment(client)
        run_id = _remembered(client, memory, uri)
        if run_id is None:
            family = {"mlflow.parentRunId": parent.run_id} if parent and parent.run_id else {}
            run_id = client.create_run(experiment, tags={**tags, **family}, run_name=name).info.run_id
            if memory is not None:
                write_json(memory, {"run_id": run_id, "uri": uri})
        else:
            client.update_run(run_id, status="RUNNING")
    except (MlflowException, OSError) as error:
        warnings.warn(
            f"MLflow at {_without_password(uri)} does not answer ({type(error).__name__}); the work goes on without it",
            stacklevel=3,
        )
        return Run(None, "")
    return Run(client, run_id)


def _experiment(client: MlflowClient) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return found.experiment_id
    try:
        return client.create_experiment(EXPERIMENT)
    except MlflowException:  # another process was first
        found = client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            raise
        return found.experiment_id


def _remembered(client: MlflowClient, memory: Path | None, uri: str) -> str | None:
    if memory is None or not memory.exists():
        return None
    note = read_json(memory)
    if note["uri"] != uri:
        return None
    try:
        return client.get_run(note["run_id"]).info.run_id
    except MlflowException:  # the database was deleted since
        return None


def _without_password(uri: str) -> str:
    scheme, mark, rest = uri.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


def _where() -> dict[str, str]:
    """Git commit and whether the tree differs from it, and DVC's names of stage and experiment."""
    tags = {key.lower(): os.environ[key] for key in ("DVC_STAGE", "DVC_EXP_NAME") if os.environ.get(key)}
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        dirty = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return tags
    return {**tags, "mlflow.source.git.commit": commit, "git_dirty": str(bool(dirty.strip())).lower()}
