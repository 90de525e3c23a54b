"""The stage check: every network takes a batch as its training would, and what cannot fit is refused before it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import segmentation.architectures
import segmentation.objective
from ensemble import check
from experiments.hardware import Hardware
from experiments.plan.work import card
from experiments.settings.training import SegmentationSettings
from imaging.prepared import Prepared
from tests.experiments.hardware_cases import AMX, CPU, H200, T4
from tests.imaging.conftest import make_prepared

SMALL: dict[str, Any] = {
    "models": ["u"], "architecture": "plain", "base_channels": 4, "image_size": 32, "batch_size": 4, "epochs": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return Prepared(make_prepared(tmp_path_factory.mktemp("check")))


def run(prepared: Prepared, hardware: Hardware, objective: Any, **changes: Any) -> None:
    settings = SegmentationSettings.model_validate({**SMALL, **changes})
    build = segmentation.architectures.build
    check.check("segmentation", settings, build, objective, prepared, 0, hardware)


def test_a_step_that_cannot_fit_is_refused_with_the_settings_to_change(prepared: Prepared) -> None:
    """Before any tensor is moved to the GPU: this one has less memory than CUDA itself takes."""
    words = r"segmentation, model u, 32 px, batch_size 4: .*the GPU has 0\.5 GB; lower image_size, use a smaller network"
    with pytest.raises(ValueError, match=words):
        run(prepared, card(0.5), segmentation.objective.Objective)


def test_only_the_phase_that_is_too_large_is_refused(prepared: Prepared) -> None:
    """Adam and a moving average keep two more numbers for each of 20 million weights than SGD: the second phase does not fit."""
    phases = [{"optimiser": "sgd"}, {"ema": 0.99}]
    with pytest.raises(ValueError, match="lower image_size"):
        run(prepared, card(1.15), segmentation.objective.Objective, base_channels=32, phases=phases)
    run(prepared, card(1.15), segmentation.objective.Objective, base_channels=32, phases=phases[:1])


@pytest.mark.parametrize(
    ("hardware", "dtype"),
    [(H200, torch.bfloat16), (T4, torch.float16), (AMX, torch.bfloat16), (CPU, torch.float32)],
    ids=["h200", "t4", "amx", "cpu"],
)
@pytest.mark.parametrize("micro_batch", ["auto", 2])
def test_the_batch_goes_through_in_the_precision_and_the_passes_of_the_training(
    prepared: Prepared, hardware: Hardware, dtype: torch.dtype, micro_batch: Any
) -> None:
    seen: set[tuple[torch.dtype, int]] = set()

    class Watched(segmentation.objective.Objective):
        def loss(self, output: Any, batch: Any) -> torch.Tensor:
            product = torch.ones(2, 2) @ torch.ones(2, 2)  # autocast computes it in its own type
            seen.add((product.dtype, len(batch["label"])))
            return super().loss(output, batch)

    run(prepared, hardware, Watched, micro_batch=micro_batch)
    assert seen == {(dtype, 4 if micro_batch == "auto" else 2)}
