"""MLflow's experiment page and the parent run of each pipeline run: all params, the recipe, the data, the final metrics.

A parent run is found again by its tags: name of the experiment, commit and params. A stage that DVC restores from its cache
does not run and has no child.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from mlflow.entities import Dataset, DatasetInput, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from experiments.settings import seeds
from experiments.settings.params import load
from imaging.io.config import PARAMS_FILE, without_passwords
from imaging.io.files import fingerprint, read_json

EXPERIMENT = "pneumothorax"
TAGS = {
    # Otherwise MLflow guesses, and opens its page for language models.
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.note.content": (
        "Pneumothorax on chest radiographs: one parent run for each pipeline run, with all params and the "
        "hold-out's metrics; its children are the stages and the trials of the studies. For research, not for "
        "diagnosis."
    ),
}
STAGE = "pipeline"
"""The tag `stage` of parent runs."""
WORKSPACE = "workspace"
"""Tag of parent runs: a fingerprint of machine and folder, in which DVC lets one pipeline run work at a time."""
DATA = Path("data/prepared/fingerprint.json")


def experiment(client: MlflowClient) -> str:
    """Id of the project's MLflow experiment, made and described when it is missing."""
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        try:
            return client.create_experiment(EXPERIMENT, tags=TAGS)
        except MlflowException:  # another process was first
            found = client.get_experiment_by_name(EXPERIMENT)
            if found is None:
                raise
    for key, value in TAGS.items():
        if key not in found.tags:
            client.set_experiment_tag(found.experiment_id, key, value)
    return found.experiment_id


@dataclass(frozen=True)
class Parent:
    """A parent run; identity: its tags of recipe and seeds."""

    run_id: str
    name: str
    identity: dict[str, str]


def parent(client: MlflowClient, experiment_id: str, tags: dict[str, str]) -> Parent | None:
    """The parent of this pipeline run; None outside a folder with valid params.

    tags: of environment.names().
    """
    try:
        params = load().model_dump(mode="json")
    except ValueError:
        return None
    own = {
        "stage": STAGE,
        "experiment": tags["experiment"],
        "params_fingerprint": fingerprint(params, tags.get("mlflow.source.git.commit", "")),
    }
    query = " and ".join(f"tags.`{key}` = '{value}'" for key, value in own.items())
    found = client.search_runs([experiment_id], query, max_results=1)
    _end_others(client, experiment_id, found[0].info.run_id if found else "")
    if found:
        if found[0].info.status in ("FAILED", "KILLED"):
            client.update_run(found[0].info.run_id, status="RUNNING")
        return Parent(found[0].info.run_id, found[0].info.run_name or tags["experiment"], identity(params))
    name = _free_name(client, experiment_id, tags["experiment"])
    own |= {WORKSPACE: _workspace(), "recipe": recipe(), **identity(params)}
    common = {key: value for key, value in tags.items() if key != "dvc_stage"}
    run_id = client.create_run(experiment_id, tags={**common, **own}, run_name=name).info.run_id
    log_params(client, run_id, params)
    client.log_text(run_id, without_passwords(Path(PARAMS_FILE).read_text(encoding="utf-8")), PARAMS_FILE)
    return Parent(run_id, name, identity(params))


def identity(params: dict[str, Any]) -> dict[str, str]:
    """Tags by which trainings of one recipe with several seeds are found: its fingerprint without seeds, and the seeds."""
    return {"recipe_fingerprint": seeds.recipe_fingerprint(params), "seeds": seeds.seeds_of(params)}


def _end_others(client: MlflowClient, experiment_id: str, run_id: str) -> None:
    """End parent runs of this workspace that were killed before they could end themselves: all running ones except `run_id`."""
    query = (
        f"tags.stage = '{STAGE}' and tags.{WORKSPACE} = '{_workspace()}' and attributes.status = 'RUNNING'"
    )
    for other in client.search_runs([experiment_id], query):
        if other.info.run_id != run_id:
            client.set_terminated(other.info.run_id, "FAILED")


def _workspace() -> str:
    return fingerprint(platform.node(), str(Path.cwd()))


def _free_name(client: MlflowClient, experiment_id: str, name: str) -> str:
    """The experiment's name, with a number where a parent run with other params has it already."""
    query = f"tags.stage = '{STAGE}' and tags.experiment = '{name}'"
    count = len(client.search_runs([experiment_id], query))
    return f"{name} #{count + 1}" if count else name


def recipe(path: Path = Path(PARAMS_FILE)) -> str:
    """The recipe that params.yaml says it was written from, else the first words of its head comment."""
    head = path.read_text(encoding="utf-8").split("\n", 1)[0]
    return without_passwords(head.removeprefix("# ")[:200]) if head.startswith("#") else ""


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested params as MLflow displays them: {"segmentation": {"lr": .1}} becomes {"segmentation.lr": "0.1"}."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = without_passwords(str(value))
    return flat


def log_params(client: MlflowClient, run_id: str, values: dict[str, Any]) -> None:
    """Log nested params flat. MLflow never changes one: a restart with other values has them in its config.yaml."""
    known = client.get_run(run_id).data.params
    new = [Param(key, value[:6000]) for key, value in flatten(values).items() if key not in known]
    for start in range(0, len(new), 100):  # MLflow's limit for one call
        client.log_batch(run_id, params=new[start : start + 100])


def log_data(client: MlflowClient, run_ids: list[str]) -> None:
    """Log the prepared data as these runs' input: source, and the fingerprint of images, masks and folds."""
    if not (DATA.exists() and Path(PARAMS_FILE).exists()):
        return
    data = load().data
    digest = read_json(DATA)["fingerprint"]
    source = json.dumps({"uri": data.folder})
    dataset = Dataset(
        name=f"{data.source} {data.image_size} px", digest=digest, source_type="local", source=source
    )
    for run_id in run_ids:
        inputs = client.get_run(run_id).inputs
        if inputs is None or all(one.dataset.digest != digest for one in inputs.dataset_inputs):
            client.log_inputs(run_id, [DatasetInput(dataset)])


def config_text(params: dict[str, Any]) -> str:
    """A stage's params as YAML, without passwords."""
    return without_passwords(yaml.safe_dump(params, sort_keys=False))


def tag(client: MlflowClient, run_id: str, values: dict[str, str]) -> None:
    """Set tags of a run."""
    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in values.items()])
