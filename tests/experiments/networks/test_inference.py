"""Test-time augmentation, with nets whose answers are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from experiments.networks import inference
from experiments.settings.common import TrainingSettings

SIDE = 64


class Seen(nn.Module):
    """A net that notes what it is shown and returns it, as a map or as one number an image."""

    def __init__(self, score: bool = False, odd: bool = False) -> None:
        super().__init__()
        self.score, self.odd, self.shapes = score, odd, list[tuple[int, ...]]()

    def forward(self, image: Tensor) -> Tensor:
        self.shapes.append(tuple(image.shape))
        if self.odd:  # answers by place, not by content
            image = image + torch.linspace(-3, 3, image.shape[-1])
        return image.mean(dim=(2, 3)) if self.score else image


def settings(flip: bool, scales: list[float]) -> TrainingSettings:
    return TrainingSettings(models=["x"], image_size=SIDE, precision="32-true", flip_tta=flip, scales=scales)


def ramp() -> Tensor:
    """Two smooth uint8 images (2, 1, s, s), one the other's mirror image."""
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    image = (40 + rows + 2 * columns).to(torch.uint8)[None]
    return torch.stack([image, image.flip(-1)])


@pytest.mark.parametrize("score", [False, True])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("scales", [[1.0], [0.5], [0.5, 1.0, 1.5]])
def test_a_net_that_returns_its_image_answers_as_without(score, flip, scales) -> None:
    plain = inference.probabilities(Seen(score), ramp(), settings(False, [1.0]))
    found = inference.probabilities(Seen(score), ramp(), settings(flip, scales))
    assert found.shape == plain.shape
    assert found.dtype == torch.float32
    inner = (
        slice(None),
        slice(None),
        *[slice(4, -4)] * (0 if score else 2),
    )  # resizing bends the outermost pixels
    assert (found - plain)[inner].abs().max() < (1e-6 if scales == [1.0] else 2e-3)


def test_sizes_are_multiples_of_the_stride_and_views_are_counted() -> None:
    net = Seen()
    inference.probabilities(net, ramp(), settings(True, [0.6, 1.0, 1.3]))
    assert [shape[-1] for shape in net.shapes] == [32, 32, 64, 64, 96, 96]
    assert len({shape[:2] for shape in net.shapes}) == 1
    net = Seen()
    odd_size = torch.zeros((1, 1, 50, 50), dtype=torch.uint8)  # 1.0 is the image's own size, whatever it is
    assert inference.probabilities(net, odd_size, settings(False, [1.0, 0.3])).shape == odd_size.shape
    assert [shape[-1] for shape in net.shapes] == [50, 32]


def test_mirroring_undoes_a_liking_for_one_side() -> None:
    image = torch.full((1, 1, SIDE, SIDE), 128, dtype=torch.uint8)
    one = inference.probabilities(Seen(odd=True), image, settings(False, [1.0]))
    both = inference.probabilities(Seen(odd=True), image, settings(True, [1.0]))
    assert (one - one.flip(-1)).abs().max() > 0.5
    assert torch.equal(both, both.flip(-1))
    assert torch.allclose(both, (one + one.flip(-1)) / 2)


def test_scales_are_averaged_in_probability() -> None:
    class Two(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return torch.full((len(image), 1), 2.0 if image.shape[-1] == SIDE else -1.0)

    found = inference.probabilities(Two(), ramp(), settings(True, [1.0, 0.5]))
    wanted = (torch.tensor(2.0).sigmoid() + torch.tensor(-1.0).sigmoid()) / 2
    assert torch.allclose(found, wanted.expand(2, 1))


@pytest.mark.parametrize("scales", [[], [0.1], [5.0]])
def test_senseless_scales_are_refused(scales) -> None:
    with pytest.raises(ValueError, match="scales"):
        settings(True, scales)
