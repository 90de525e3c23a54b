"""Register a bundle in MLflow's model registry, with its metrics and a description."""

from __future__ import annotations

import warnings
from importlib.metadata import requires, version
from pathlib import Path

import mlflow
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from packaging.requirements import Requirement

from ensemble.inference import bundle
from ensemble.inference.mlflow_model import INPUT, OUTPUT
from experiments import run_group, tracking

NAME, ALIAS = "pneumothorax", "champion"
CODE = Path(__file__).with_name("mlflow_model.py")
DESCRIPTION = (
    "Pneumothorax on chest radiographs: probability and mask of a study. For research, not for diagnosis."
)
PACKAGES = ("imaging", "experiments", "classification", "segmentation", "ensemble")
"""All packages of this project: the served model carries them along."""


def register(source: str | Path, name: str = NAME, alias: str = ALIAS, parent: str = "") -> str:
    """Register a bundle in MLflow's model registry and give it the alias; returns the version.

    A bundle that is already registered gets the alias, and is not copied again. parent: id of the pipeline's MLflow run.
    """
    loaded = bundle.Bundle.load(source)
    mlflow.set_tracking_uri(tracking.tracking_uri())
    client = MlflowClient()
    known = [
        v for v in client.search_model_versions(f"name='{name}'") if v.tags.get("bundle") == loaded.sha256
    ]
    number = str(known[0].version) if known else _log(loaded, name, client, parent)
    client.set_registered_model_alias(name, alias, number)
    return number


def _log(loaded: bundle.Bundle, name: str, client: MlflowClient, parent: str) -> str:
    """Log the bundle with the code that reads it, in a run that carries its metrics."""
    run_group.experiment(client)
    mlflow.set_experiment(run_group.EXPERIMENT)
    # MLflow suggests storing an example with the model: we have no radiograph that we could give away.
    warnings.filterwarnings("ignore", message=".*input example")
    tags = {"stage": "register", **({"mlflow.parentRunId": parent} if parent else {})}
    with mlflow.start_run(run_name=f"register {loaded.name}", tags=tags):
        mlflow.log_metrics({k: v["value"] for k, v in loaded.metrics.items() if v["value"] is not None})
        logged = mlflow.pyfunc.log_model(
            name=name,
            python_model=str(CODE),
            artifacts={"bundle": str(loaded.folder.resolve())},
            code_paths=[str(CODE.parents[2] / package) for package in PACKAGES],
            signature=ModelSignature(inputs=INPUT, outputs=OUTPUT),
            pip_requirements=requirements(),
            metadata={"bundle": loaded.name, "use": "research, not diagnosis"},
            registered_model_name=name,
        )
    number = str(logged.registered_model_version)
    client.set_model_version_tag(name, number, "bundle", loaded.sha256)
    client.update_registered_model(name, description=DESCRIPTION)
    client.update_model_version(name, number, describe(loaded))
    return number


def describe(loaded: bundle.Bundle) -> str:
    """Markdown for the version's page: name, and the hold-out's metrics with their 95 % intervals."""
    rows = [
        f"| {key} | {one['value']:.4f} | {one['low']:.4f} to {one['high']:.4f} |"
        for key, one in loaded.metrics.items()
        if one["value"] is not None and one["low"] is not None
    ]
    head = f"Bundle `{loaded.name}`, SHA-256 {loaded.sha256}. Hold-out, with 95 % intervals over patients:"
    return "\n".join([head, "", "| metric | value | interval |", "|---|---|---|", *rows, ""])


def requirements() -> list[str]:
    """Requirements of the code, in the versions installed here; for `mlflow models build-docker` and the like."""
    needed = [Requirement(line) for line in requires(NAME) or []]
    plain = sorted(one.name for one in needed if not one.marker)
    return [f"{one}=={version(one).partition('+')[0]}" for one in plain]
