"""Which convolutions compute in float32 under a processor's autocast, and that training uses it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from experiments.networks.depthwise import DepthwiseInFloat32
from experiments.training.loop import plugin
from tests.experiments.hardware_cases import AMX


class Seen(nn.Conv2d):
    """Its output in full and rounded to bf16 are told apart by the error against float64."""

    def error(self, image: Tensor, found: Tensor) -> float:
        exact = nn.functional.conv2d(
            image.double(), self.weight.double(), None, self.stride, self.padding, groups=self.groups
        )
        return float((found.detach().double() - exact.detach()).abs().max())


@pytest.mark.parametrize(
    ("channels", "groups", "kernel", "stride", "in_float32"),
    [
        (8, 8, 3, 2, True),
        (8, 8, 5, 1, True),
        (8, 8, 3, 1, False),  # has a fast bf16 gradient
        (8, 1, 5, 2, False),  # not depthwise
        (8, 4, 3, 2, False),  # two channels a group
    ],
)
def test_which_convolutions_compute_in_float32(
    channels: int, groups: int, kernel: int, stride: int, in_float32: bool
) -> None:
    torch.manual_seed(0)
    conv = Seen(channels, channels, kernel, stride, kernel // 2, groups=groups, bias=False)
    image = torch.randn(2, channels, 9, 9)
    with torch.autocast("cpu", torch.bfloat16), DepthwiseInFloat32():
        found = conv(image)
    assert found.dtype == (torch.float32 if in_float32 else torch.bfloat16)
    assert (conv.error(image, found) < 1e-5) is in_float32
    found.float().sum().backward()
    assert conv.weight.grad is not None
    assert conv.weight.grad.dtype == torch.float32


def test_the_result_has_the_inputs_type_and_nothing_changes_without_gradients_or_autocast() -> None:
    conv = nn.Conv2d(4, 4, 5, 2, 2, groups=4)
    with torch.autocast("cpu", torch.bfloat16), DepthwiseInFloat32():
        assert conv(torch.randn(1, 4, 8, 8, dtype=torch.bfloat16)).dtype == torch.bfloat16
        with torch.no_grad():
            assert conv(torch.randn(1, 4, 8, 8)).dtype == torch.bfloat16
    with DepthwiseInFloat32():
        assert conv(torch.randn(1, 4, 8, 8)).dtype == torch.float32


def test_training_in_mixed_precision_on_a_processor_uses_it() -> None:
    conv = nn.Conv2d(4, 4, 3, 2, 1, groups=4)
    with plugin("bf16-mixed", AMX).forward_context():
        assert conv(torch.randn(1, 4, 8, 8)).dtype == torch.float32
