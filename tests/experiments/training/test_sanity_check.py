"""What cannot be trained is refused before training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import segmentation.architectures
import segmentation.train
from experiments.settings.training import SegmentationSettings
from experiments.training.sanity_check import check_model, first_batch
from imaging.data.dataset import Images
from imaging.prepared import Prepared
from tests.imaging.conftest import make_prepared

SMALL: dict[str, Any] = {
    "models": ["u"], "architecture": "plain", "base_channels": 4, "image_size": 32, "batch_size": 4, "epochs": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return Prepared(make_prepared(tmp_path_factory.mktemp("rehearsal")))


def run(prepared: Prepared, build: Any = segmentation.architectures.build, **changes: Any) -> int:
    settings = SegmentationSettings(**{**SMALL, **changes})
    return check_model("segmentation", "u", settings, build, segmentation.objective.Objective, prepared, 0)


def test_a_network_that_trains_tells_its_size(prepared: Prepared) -> None:
    net = segmentation.architectures.build(SegmentationSettings(**SMALL))
    assert run(prepared) == sum(parameter.numel() for parameter in net.parameters())


def test_the_batch_is_the_first_of_the_training(prepared: Prepared) -> None:
    settings = SegmentationSettings(**SMALL)
    images = Images(prepared, range(12), 32)
    batch = first_batch(images, settings)
    assert batch["image"].shape == (4, 1, 32, 32)
    assert batch["mask"].shape == (4, 1, 32, 32)
    assert len(set(batch["row"].tolist())) == 4


class Refuses(nn.Module):
    """A network that fails as it is told."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.layer = nn.Linear(1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        raise self.error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "lower batch_size and raise accumulate"),
        (
            RuntimeError("Sizes of tensors must match"),
            "architecture, encoder and image_size .*Sizes of tensors",
        ),
    ],
)
def test_a_network_that_fails_is_named_with_the_mend(prepared: Prepared, error: Exception, said: str) -> None:
    with pytest.raises(
        ValueError, match=f"segmentation, model u, 32 px, batch_size 4: cannot be trained; .*{said}"
    ):
        run(prepared, build=lambda settings: Refuses(error))


def test_a_loss_that_is_no_number_from_the_start(prepared: Prepared) -> None:
    def build(settings: SegmentationSettings) -> nn.Module:
        net = segmentation.architectures.build(settings)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.fill_(float("nan"))
        return net

    with pytest.raises(ValueError, match="the first loss is nan"):
        run(prepared, build=build)


def test_every_phase_is_tried(prepared: Prepared, tmp_path: Path) -> None:
    seen: list[float] = []

    def build(settings: SegmentationSettings) -> nn.Module:
        seen.append(settings.lr)
        return segmentation.architectures.build(settings)

    run(prepared, build=build, phases=[{"lr": 0.1}, {"lr": 0.2}])
    assert seen == [0.1, 0.2]
