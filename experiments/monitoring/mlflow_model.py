"""A trained network as a model entry of MLflow: weights and sidecar with a signature, loaded without unpickling anything.

    mlflow.pyfunc.load_model("models:/<model id>").predict(images)

The entry holds no code: it is loaded where this repository's packages can be imported.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import torch
from mlflow.entities import LoggedModelOutput
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types import Schema, TensorSpec
from numpy.typing import NDArray
from torch import nn

from experiments.hardware import current
from experiments.networks import inference
from experiments.networks.weights import load_facts
from experiments.settings.common import TrainingSettings
from experiments.tracking import Run
from imaging.resize import network_input

LOADERS = {"classification": "classification.model", "segmentation": "segmentation.architectures.build"}
"""The module of each stage that defines MLflow's `_load_pyfunc`."""
NEEDED = ("torch", "safetensors", "timm", "segmentation-models-pytorch")


class Served:
    """What MLflow calls: prepared images uint8 (B, 1, s, s) to float32 probabilities, (B, 1) or (B, 1, s, s).

    The images are as `imaging.prepare` writes them: contrast is equalised here where the settings say so.
    """

    def __init__(self, net: nn.Module, settings: TrainingSettings) -> None:
        self.net, self.settings = net.to(current().device).eval(), settings

    def predict(self, images: NDArray[np.uint8], params: dict[str, Any] | None = None) -> NDArray[np.float32]:
        """Probabilities, with test-time augmentation as in the settings."""
        size, contrast = self.settings.image_size, self.settings.contrast
        seen = np.stack([network_input(image[0], size, contrast) for image in images])[:, None]
        given = torch.from_numpy(seen).to(current().device)
        return inference.probabilities(self.net, given, self.settings).cpu().numpy()


def weights_in(folder: str | Path) -> Path:
    """The one weights file of an entry's data."""
    return next(Path(folder).glob("*.safetensors"))


def signature(size: int, pixelwise: bool) -> ModelSignature:
    """uint8 (B, 1, size, size) in; a probability an image, or one a pixel, out."""
    square = (-1, 1, size, size)
    given = TensorSpec(np.dtype(np.uint8), square)  # unnamed: a named one would come as a dictionary
    answer = TensorSpec(np.dtype(np.float32), square if pixelwise else (-1, 1))
    return ModelSignature(Schema([given]), Schema([answer]))


def log(run: Run, weights: Path) -> None:
    """Log a network as a model of this run, loaded by the stage's LOADERS module. A restart finds it already logged."""
    facts = load_facts(weights)
    stage, settings = facts["stage"], facts["settings"]
    expected = signature(settings["image_size"], pixelwise=stage == "segmentation")
    name = f"{stage}-{facts['model']}-fold{facts['fold']}"

    def make(client: MlflowClient) -> None:
        found = client.get_run(run.run_id)
        if found.outputs is not None and found.outputs.model_outputs:
            return
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch, "model")
            save(folder, weights, expected, LOADERS[stage])
            entry = client.create_logged_model(
                found.info.experiment_id,
                name=re.sub(r"[^A-Za-z0-9_-]+", "-", name),  # MLflow refuses / : . % and quotes
                source_run_id=run.run_id,
                params={"stage": stage, "architecture": settings["architecture"]},
                tags={"weights_sha256": facts["weights_sha256"]},
            )
            client.log_model_artifacts(entry.model_id, str(folder))
        client.finalize_logged_model(entry.model_id, "READY")
        client.log_outputs(run.run_id, [LoggedModelOutput(entry.model_id, step=0)])

    run.attempt(make)


def save(folder: Path, weights: Path, expected: ModelSignature, loader: str) -> None:
    """Write an MLflow model folder: MLmodel with its signature, and the weights with their sidecar as data."""
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        # An example would be a radiograph in text form, and costs a prediction.
        warnings.filterwarnings("ignore", message=".*input example was not provided.*")
        data = Path(scratch, "network")
        data.mkdir()
        for path in (weights, weights.with_suffix(".json")):
            shutil.copy(path, data)
        mlflow.pyfunc.save_model(
            path=str(folder),
            loader_module=loader,
            data_path=str(data),
            signature=expected,
            pip_requirements=[f"{package}=={metadata.version(package)}" for package in NEEDED],
        )
