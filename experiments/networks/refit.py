"""Refit: repeat a finished training with the hold-out among its training images.

Fold k still validates, so that checkpoints are chosen as before and its score can be compared with that of the evaluated
network: both are computed on the same images. See docs/decisions/refit.md.
"""

from __future__ import annotations

from typing import Any

from experiments.networks import weights
from experiments.settings.common import PROCESSES, TrainingSettings
from experiments.settings.training import phases_of
from imaging.prepared import Prepared

FOLDER = "models/refit"
NO_HOLDOUT = "No hold-out result exists for these weights: they were trained on the hold-out."
REPEATS = "repeats_weights"
"""In the sidecar: SHA-256 of the evaluated weights whose training was repeated."""


def facts(
    stage: str, model: str, fold: int, settings: TrainingSettings, prepared: Prepared
) -> dict[str, Any]:
    """Extra entries of a refitted network's sidecar; ValueError unless data and settings are those of the evaluated network."""
    path = weights.path_of(stage, model, fold)
    if not path.with_suffix(".json").is_file():
        raise ValueError(f"{path}: missing; a refit repeats a finished run, so run `dvc repro` first")
    evaluated = weights.load_facts(path)
    if evaluated["data"]["fingerprint"] != prepared.fingerprint:
        raise ValueError(f"{path}: not trained on the data now in data/prepared; run `dvc repro` first")
    now = phases_of(settings)[-1].model_dump(mode="json", exclude={*PROCESSES, "workers", "micro_batch"})
    # Settings that are younger than the evaluated network had their default.
    then = {**type(settings)(models=settings.models).model_dump(mode="json"), **evaluated["settings"]}
    if changed := sorted(key for key in now if now[key] != then[key]):
        raise ValueError(
            f"{stage}.{', '.join(changed)} of {model} changed since {path} was trained; a refit repeats the evaluated run: "
            "restore params.yaml, or run `dvc repro` first"
        )
    return {"holdout": NO_HOLDOUT, REPEATS: evaluated["weights_sha256"]}


def is_done(stage: str, model: str, fold: int) -> bool:
    """Whether the refit of the evaluated network of this name is on disk."""
    path = weights.path_of(stage, model, fold, FOLDER)
    if not (path.is_file() and path.with_suffix(".json").is_file()):
        return False
    evaluated = weights.load_facts(weights.path_of(stage, model, fold))["weights_sha256"]
    return bool(weights.load_facts(path).get(REPEATS) == evaluated)
