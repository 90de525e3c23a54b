"""A trained classifier as MLflow loads it: see experiments.networks.mlflow_model."""

from __future__ import annotations

from classification.model import load
from experiments.networks.mlflow_model import Served, weights_in


def _load_pyfunc(folder: str) -> Served:
    net, settings, _ = load(weights_in(folder))
    return Served(net, settings)
