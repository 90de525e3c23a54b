"""A trained network as MLflow keeps it: signature, answers, and nothing pickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import torch
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from classification.model import build as classifier
from experiments import tracking
from experiments.hardware import current
from experiments.monitoring import mlflow_model
from experiments.networks import inference, weights
from experiments.settings.training import ClassificationSettings, SegmentationSettings
from imaging.resize import network_input
from segmentation.architectures import build as segmenter

CASES: dict[str, Any] = {
    "classification": (
        classifier,
        ClassificationSettings(models=["a.b"], architecture="resnet10t", image_size=64, pretrained="none"),
        (3, 1),
    ),
    "segmentation": (
        segmenter,
        SegmentationSettings(
            models=["a.b"], architecture="plain", base_channels=4, image_size=64, contrast="clahe"
        ),
        (3, 1, 64, 64),
    ),
}


@pytest.mark.parametrize("stage", CASES)
def test_an_entry_answers_as_the_network_does(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    build, settings, shape = CASES[stage]
    torch.manual_seed(0)
    net, path = build(settings).eval(), weights.path_of(stage, "a.b", 0)
    weights.save(
        path,
        net.state_dict(),
        {"stage": stage, "model": "a.b", "fold": 0, "settings": settings.model_dump(mode="json")},
    )
    with tracking.start("train", {}, {}) as run:
        for _ in range(2):  # as after a restart
            mlflow_model.log(run, path)
    (output,) = client.get_run(run.run_id).outputs.model_outputs
    entry = client.get_logged_model(output.model_id)
    assert (entry.name, entry.status.name) == (f"{stage}-a-b-fold0", "READY")

    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.tracking_uri())
    loaded = mlflow.pyfunc.load_model(f"models:/{output.model_id}")
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 64, 64), np.uint8)
    said = loaded.predict(images)
    assert said.shape == shape
    seen = np.stack([[network_input(image[0], 64, settings.contrast)] for image in images])
    expected = inference.probabilities(
        net.to(current().device), torch.from_numpy(seen).to(current().device), settings
    )
    np.testing.assert_array_equal(said, expected.cpu().numpy())
    with pytest.raises(MlflowException, match="shape"):
        loaded.predict(images[:, :, :32])
    assert not [
        file for file in Path("mlruns").rglob("*") if file.suffix in (".pkl", ".pickle", ".pth", ".pt")
    ]
