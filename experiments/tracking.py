"""MLflow: one run for each execution of a stage, found again after a restart; its failures never end a training.

The database is `mlflow.db` at the repository root, by an absolute path, so that a bare `mlflow ui` finds the runs;
MLFLOW_TRACKING_URI names a server instead. Run ids never go into DVC's outputs: those must mean the same without MLflow.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from experiments import environment, run_group
from imaging.io.config import without_passwords
from imaging.io.files import fingerprint, read_json, sha256, write_json

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

from mlflow.entities import Metric, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

# On first use MLflow logs every migration of its database.
for _name in ("mlflow.store.db.utils", "alembic"):
    logging.getLogger(_name).setLevel(logging.WARNING)

RESUME = Path(".resume")
"""Where a started run is remembered until it ends; outside DVC's outputs."""


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


class Run:
    """A run being written. If the server fails, it warns once and the run continues without it.

    group: the parent run of the whole pipeline run, where there is one.
    """

    def __init__(self, client: MlflowClient | None, run_id: str, group: Run | None = None) -> None:
        self.client, self.run_id, self.group = client, run_id, group

    def metrics(self, values: dict[str, float], step: int = 0) -> None:
        """Log numbers of one step; again after a restart, the same step has the same values."""
        now = int(time.time() * 1000)
        self.attempt(
            lambda c: c.log_batch(self.run_id, [Metric(k, float(v), now, step) for k, v in values.items()])
        )

    def results(self, values: Mapping[str, Mapping[str, float | None]]) -> None:
        """Log final metrics {name: {value, low, high}} here and on the group: values as metrics, 95 % intervals as tags."""
        found = {name: one["value"] for name, one in values.items() if one["value"] is not None}
        intervals = {
            f"interval.{name}": f"{one['low']:.4f} to {one['high']:.4f}"
            for name, one in values.items()
            if one.get("low") is not None and one.get("high") is not None
        }
        for run in [self, *([self.group] if self.group else [])]:
            run.metrics(found)
            run.tags(intervals)

    def params(self, values: dict[str, Any]) -> None:
        """Log nested params flat."""
        self.attempt(lambda c: run_group.log_params(c, self.run_id, values))

    def tags(self, values: dict[str, str]) -> None:
        """Set tags, by which runs are grouped and found."""
        self.attempt(lambda c: run_group.tag(c, self.run_id, values))

    def file(self, path: str | Path, folder: str | None = None) -> None:
        """Log a small file, such as a figure."""
        self.attempt(lambda c: c.log_artifact(self.run_id, str(path), folder))

    def text(self, content: str, name: str) -> None:
        """Log a text as a file."""
        self.attempt(lambda c: c.log_text(self.run_id, content, name))

    def image(self, pixels: NDArray[Any], key: str, step: int) -> None:
        """Log an image uint8 (H, W, 3) of one step; MLflow displays the steps of a key with a slider."""
        self.attempt(lambda c: c.log_image(self.run_id, pixels, key=key, step=step))

    def made(self, output: str | Path) -> None:
        """Tag the run with the SHA-256 of its main output, so that a file on disk can be traced to the run that made it."""
        self.tags({"output": Path(output).as_posix(), "output_sha256": sha256(output)})

    def end(self, status: str) -> None:
        """FINISHED, FAILED or KILLED (MLflow's word for a pruned trial)."""
        self.attempt(lambda c: c.set_terminated(self.run_id, status))

    def attempt(self, call: Callable[[MlflowClient], object]) -> None:
        """Call the client; an error of MLflow, its server or its storage loses only the log entry."""
        if self.client is None:
            return
        try:
            call(self.client)
        except Exception as error:  # storage plug-ins raise classes of their own
            self.client = None
            lines = str(error).splitlines() or [""]
            warnings.warn(
                f"MLflow cannot log ({type(error).__name__}: {without_passwords(lines[0])[:300]}); the run continues, "
                "but nothing more is logged for it",
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
    """Open a run called `name`, found again when a killed stage is started once more.

    In a folder with params.yaml it is a child of the pipeline's run, and has that run's name in brackets after its own;
    a failure ends that run too, and the next stage opens it again.

    memory: a small file that remembers the run; the caller removes it once the result is safe. Without one, a run that
    has no parent is remembered under its name and params until it ends.
    """
    own = memory is None and parent is None
    if own:
        memory = RESUME / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', name)}-{fingerprint(name, params)}.json"
    run = _open(name, {**tags, **environment.names()}, memory, parent)
    run.params(params)
    if parent is None:
        run.text(run_group.config_text(params), "config.yaml")
        run.text(environment.packages(), "environment/packages.txt")
        run.text(json.dumps(environment.machine(), indent=2), "environment/machine.json")
    try:
        yield run
    except BaseException as error:
        run.tags({"reason": without_passwords(f"{type(error).__name__}: {error}")[:500]})
        status = "KILLED" if _was_stopped(error) else "FAILED"
        for one in [run, *([run.group] if run.group else [])]:
            one.end(status)
        raise
    run.end("FINISHED")
    if own and memory is not None:
        memory.unlink(missing_ok=True)


def _was_stopped(error: BaseException) -> bool:
    """Whether a pruned trial or a signal (imaging.io.command) ended the run, not an error."""
    signalled = isinstance(error, SystemExit) and isinstance(error.code, int) and error.code > 128
    return signalled or type(error).__name__ in {"TrialPruned", "KeyboardInterrupt"}


def pipeline_run() -> Run | None:
    """The parent run of this pipeline run; None without params.yaml, or where MLflow does not answer."""
    try:
        client = MlflowClient(tracking_uri=tracking_uri())
        found = run_group.parent(client, run_group.experiment(client), environment.names())
    except Exception as error:  # database drivers raise classes of their own
        warnings.warn(f"MLflow does not answer ({type(error).__name__})", stacklevel=2)
        return None
    return Run(client, found.run_id) if found else None


def _open(name: str, tags: dict[str, str], memory: Path | None, parent: Run | None) -> Run:
    uri = tracking_uri()
    try:
        client = MlflowClient(tracking_uri=uri)
        experiment = run_group.experiment(client)
        run_id = _remembered(client, memory, uri)
        group = run_group.parent(client, experiment, environment.names()) if parent is None else None
        if run_id is None:
            above = group.run_id if group else parent.run_id if parent else ""
            family = {"mlflow.parentRunId": above} if above else {}
            family |= group.identity if group else {}
            name = f"{name} ({group.name})" if group else name
            run_id = client.create_run(experiment, tags={**tags, **family}, run_name=name).info.run_id
            if memory is not None:
                write_json(memory, {"run_id": run_id, "uri": without_passwords(uri)})
        else:
            _continue(client, run_id, tags)
        run_group.log_data(client, [run_id, *([group.run_id] if group else [])])
    except Exception as error:  # database drivers raise classes of their own
        warnings.warn(
            f"MLflow at {without_passwords(uri)} does not answer ({type(error).__name__}); the run continues without it",
            stacklevel=4,
        )
        return Run(None, "")
    return Run(client, run_id, Run(client, group.run_id) if group else None)


def _continue(client: MlflowClient, run_id: str, tags: dict[str, str]) -> None:
    """Open an unfinished run again; its tags name the code and the machine that finish it."""
    client.update_run(run_id, status="RUNNING")
    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
    if "reason" in client.get_run(run_id).data.tags:
        client.delete_tag(run_id, "reason")


def _remembered(client: MlflowClient, memory: Path | None, uri: str) -> str | None:
    if memory is None or not memory.exists():
        return None
    note = read_json(memory)
    if note["uri"] != without_passwords(uri):
        return None
    try:
        return client.get_run(note["run_id"]).info.run_id
    except MlflowException:  # the database was deleted since
        return None
