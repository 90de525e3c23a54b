"""The cost of a step on fake tensors is that of the real step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

import classification.model
import classification.objective
import segmentation.architectures
import segmentation.objective
from experiments.hardware import Hardware
from experiments.networks.normalisation import normalise
from experiments.networks.precision import autocast
from experiments.plan.cost import step_cost
from experiments.settings.common import TrainingSettings
from experiments.settings.training import ClassificationSettings, SegmentationSettings

CPU = Hardware("cpu", "test", 2**34, True)
NONE = np.zeros(1, np.int64)


def real_peak(
    net: nn.Module, objective: object, settings: TrainingSettings, precision: str, batch: int
) -> int:
    """Bytes that PyTorch's allocator hands out at most during a real step, by its profiler."""
    net.to(memory_format=torch.channels_last)
    square = (batch, 1, settings.image_size, settings.image_size)
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        given = {
            "image": torch.zeros(square, dtype=torch.uint8),
            "mask": torch.zeros(square, dtype=torch.uint8),
            "label": torch.zeros(batch),
        }
        image = normalise(given["image"], net).contiguous(memory_format=torch.channels_last)
        with autocast(precision, CPU):
            loss = objective.loss(net.train()(image), given)  # type: ignore[attr-defined]
        del image
        loss.backward()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]  # type: ignore[union-attr]
    held = np.cumsum([event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())])
    return int(held.max())


def mask_net(**values: object) -> SegmentationSettings:
    return SegmentationSettings.model_validate({"models": ["a"], "encoder": "resnet18", **values})


def classifier(**values: object) -> ClassificationSettings:
    return ClassificationSettings.model_validate({"models": ["a"], "image_size": 128, **values})


CASES = {
    "unet fp32": (mask_net(image_size=96), "32-true", 3),
    "fpn bf16": (mask_net(architecture="fpn", image_size=128), "bf16-mixed", 2),
    "small unet bf16": (mask_net(architecture="plain", base_channels=16, image_size=128), "bf16-mixed", 4),
    "classifier fp32": (classifier(), "32-true", 6),
    "localising bf16": (classifier(head="localising", output_stride=16), "bf16-mixed", 6),
}


@pytest.mark.parametrize("name", CASES)
def test_peak_memory_is_the_real_one_within_15_percent(name: str) -> None:
    settings, precision, batch = CASES[name]
    if isinstance(settings, SegmentationSettings):
        objective, build = segmentation.objective.Objective(settings, NONE), segmentation.architectures.build
    else:
        objective, build = classification.objective.Objective(settings, NONE), classification.model.build  # type: ignore[assignment]
    cost = step_cost(build(settings, trained=True), objective.loss, settings, precision, CPU, batch)
    net = build(settings, trained=True)
    weights = sum(p.numel() * p.element_size() for p in net.parameters())
    buffers = sum(b.numel() * b.element_size() for b in net.buffers())
    kept = 3 * weights + buffers  # with AdamW's two states; they are there before the step
    assert cost.fixed == kept + weights  # and the gradients
    assert cost.peak - kept == pytest.approx(real_peak(net, objective, settings, precision, batch), rel=0.15)


class OneConvolution(nn.Module):
    """1 -> 4 channels, 3 x 3: 36 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(1, 4, 3, padding=1, bias=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.body(image)


def test_flop_of_one_convolution() -> None:
    settings = SegmentationSettings(models=["a"], image_size=32, optimiser="sgd", ema=0.9)
    cost = step_cost(
        OneConvolution(), lambda out, batch: mse_loss(out, out.detach()), settings, "32-true", CPU, 2
    )
    # 36 multiplications and additions for each of 32 x 32 pixels of 2 images, and twice that backwards
    assert cost.flop == 3 * 2 * (2 * 36 * 32 * 32)
    assert cost.parameters == 36
    assert cost.fixed == 4 * 36 * 4  # weights, gradients, SGD's momentum, moving average
