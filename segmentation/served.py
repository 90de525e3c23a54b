"""A trained segmentation network as MLflow loads it: see experiments.networks.mlflow_model."""

from __future__ import annotations

from experiments.networks.mlflow_model import Served, weights_in
from segmentation.architectures import load


def _load_pyfunc(folder: str) -> Served:
    net, settings, _ = load(weights_in(folder))
    return Served(net, settings)
