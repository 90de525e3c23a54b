"""Register the bundle as an MLflow model (pyfunc) under the name `pneumothorax`, alias `champion`.

    python -m ensemble.serve [--bundle models/bundle] [--name pneumothorax] [--alias champion]
    mlflow models serve -m models:/pneumothorax@champion --env-manager local --host 127.0.0.1 --port 5001

Requests and responses: ensemble/inference/mlflow_model.py, docs/serving.md. A new bundle becomes a new version under the same
registered name; the alias names the version that is served."""

from __future__ import annotations

import argparse
from pathlib import Path

from ensemble.inference import bundle
from ensemble.inference.registry import ALIAS, NAME, register
from imaging.io import command


def main() -> None:
    """Register the bundle that the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m ensemble.serve", description="Register a bundle in MLflow."
    )
    parser.add_argument(
        "--bundle", type=command.place, default=Path(bundle.PATH), help="default: %(default)s"
    )
    parser.add_argument("--name", default=NAME, help="registered model (default: %(default)s)")
    parser.add_argument("--alias", default=ALIAS, help="alias to give it (default: %(default)s)")
    given = parser.parse_args()
    number = register(given.bundle, given.name, given.alias)
    print(
        f"models:/{given.name}@{given.alias} is version {number}, of {given.bundle}. Serve it with `make serve`."
    )


if __name__ == "__main__":
    command.run(main)
