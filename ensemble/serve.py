"""The bundle as a served model: an MLflow pyfunc under the registered name `pneumothorax`, alias `champion`.

    python -m ensemble.serve [--bundle models/bundle] [--name pneumothorax] [--alias champion]
    mlflow models serve -m models:/pneumothorax@champion --env-manager local --host 127.0.0.1 --port 5001

Requests and answers: ensemble/inference/mlflow_model.py, docs/serving.md. A new bundle becomes a new version under the same
registered name; the alias says which version is served."""

from __future__ import annotations

import argparse
import sys
import warnings
from importlib.metadata import requires, version
from pathlib import Path

import mlflow
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from packaging.requirements import Requirement

from ensemble.inference import bundle
from ensemble.inference.mlflow_model import INPUT, OUTPUT
from experiments import tracking
from imaging.io import command

NAME, ALIAS = "pneumothorax", "champion"
CODE = Path(__file__).parent / "inference" / "mlflow_model.py"
PACKAGES = ("imaging", "experiments", "classification", "segmentation", "ensemble")
"""All packages of this project: the served model carries them along."""


def register(source: str | Path, name: str = NAME, alias: str = ALIAS) -> str:
    """Register a bundle in MLflow's model registry and give it the alias; returns the version.

    A bundle that is already registered gets the alias, and is not copied again.
    """
    loaded = bundle.Bundle.load(source)
    mlflow.set_tracking_uri(tracking.tracking_uri())
    client = MlflowClient()
    known = [
        v for v in client.search_model_versions(f"name='{name}'") if v.tags.get("bundle") == loaded.sha256
    ]
    number = str(known[0].version) if known else _log(loaded, name, client)
    client.set_registered_model_alias(name, alias, number)
    return number


def _log(loaded: bundle.Bundle, name: str, client: MlflowClient) -> str:
    """Log the bundle with the code that reads it, in a run that carries its metrics."""
    mlflow.set_experiment(tracking.EXPERIMENT)
    # MLflow would like an example to keep with the model: there is no radiograph that we could give away.
    warnings.filterwarnings("ignore", message=".*input example")
    with mlflow.start_run(run_name=f"register {loaded.name}", tags={"stage": "register"}):
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
    return number


def requirements() -> list[str]:
    """What the code needs, in the versions that are installed here; for `mlflow models build-docker` and the like."""
    needed = [Requirement(line) for line in requires(NAME) or []]
    plain = sorted(one.name for one in needed if not one.marker)
    return [f"{one}=={version(one).partition('+')[0]}" for one in plain]


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m ensemble.serve", description="Register a bundle in MLflow."
    )
    parser.add_argument("--bundle", type=Path, default=Path(bundle.PATH), help="default: %(default)s")
    parser.add_argument("--name", default=NAME, help="registered model (default: %(default)s)")
    parser.add_argument("--alias", default=ALIAS, help="alias to give it (default: %(default)s)")
    given = parser.parse_args()
    try:
        number = register(given.bundle, given.name, given.alias)
    except ValueError as error:
        sys.exit(str(error))
    print(
        f"models:/{given.name}@{given.alias} is version {number}, of {given.bundle}. Serve it by `make serve`."
    )


if __name__ == "__main__":
    command.run(main)
