"""A trained segmentation network as MLflow loads it: see experiments.model_entry."""

from __future__ import annotations

from experiments.model_entry import Served, weights_in
from segmentation.architectures import load


def _load_pyfunc(folder: str) -> Served:
    net, settings, _ = load(weights_in(folder))
    return Served(net, settings)
