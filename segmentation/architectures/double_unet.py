"""Double U-Net (Jha 2020, arXiv:2006.04868): the mask of a first U-Net multiplies the input of a second one.

First: VGG-19, ASPP, decoder with squeeze-excite. Second: from scratch; its decoder gets the skip connections of both encoders.
Both masks are trained; the second is the prediction.
"""

from __future__ import annotations

from typing import Any

import torch
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d
from torchvision.models.segmentation.deeplabv3 import ASPP
from torchvision.ops import SqueezeExcitation

from segmentation.architectures.segmenter import Body, log_odds

# The numbers of the authors' code: github.com/DebeshJha/2020-CBMS-DoubleU-Net
DECODER = (256, 128, 64, 32)
SECOND = (32, 64, 128, 256)
RATES, BOTTLENECK = [6, 12, 18], 64
SQUEEZE = 8


class DoubleUNet(Body):
    """See segmenter.Body; H and W divisible by 16. encoder_weights: "imagenet" or None."""

    weights = (0.5, 0.5)

    def __init__(self, classes: int, encoder_weights: str | None) -> None:
        super().__init__()
        encoder: Any = get_encoder("vgg19", in_channels=1, depth=4, weights=encoder_weights)
        self.encoder, self.deepest = encoder, encoder.out_channels[-1]
        skips = list(reversed(encoder.out_channels[:-1]))
        self.aspp, self.decoder = _aspp(self.deepest), _Decoder(skips)
        self.second_encoder = nn.ModuleList(_block(a, b) for a, b in zip([1, *SECOND], SECOND, strict=False))
        both = [a + b for a, b in zip(skips, reversed(SECOND), strict=True)]
        self.second_aspp, self.second_decoder = _aspp(SECOND[-1]), _Decoder(both)
        self.heads = [nn.Conv2d(DECODER[-1], classes, kernel_size=1) for _ in range(2)]
        self.first_head, self.second_head = self.heads

    def forward(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        """See segmenter.Body."""
        *skips, deepest = self.encoder(image)
        first = self.first_head(self.decoder(self.aspp(deepest), skips))
        x, own = image * log_odds(first).sigmoid(), []
        for block in self.second_encoder:
            own.append(block(x))
            x = max_pool2d(own[-1], 2)
        joined = [torch.cat(pair, dim=1) for pair in zip(skips, own, strict=True)]
        return [first, self.second_head(self.second_decoder(self.second_aspp(x), joined))], deepest


class _Decoder(nn.Module):
    """Four blocks: bilinear upsampling by two, concatenation of the skip connection, two convolutions, squeeze-excite."""

    def __init__(self, skips: list[int]) -> None:
        super().__init__()
        ins = [BOTTLENECK, *DECODER]
        self.blocks = nn.ModuleList(
            _block(a + skip, b) for a, skip, b in zip(ins, skips, DECODER, strict=False)
        )

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        """x (B, 64, h, w); skips from the finest to the coarsest; the coarsest is twice the size of x."""
        for block, skip in zip(self.blocks, reversed(skips), strict=True):
            larger = interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = block(torch.cat([larger, skip], dim=1))
        return x


def _block(channels_in: int, channels_out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a in (channels_in, channels_out):
        layers += [nn.Conv2d(a, channels_out, 3, padding=1), nn.BatchNorm2d(channels_out), nn.ReLU()]
    return nn.Sequential(*layers, SqueezeExcitation(channels_out, max(1, channels_out // SQUEEZE)))


def _aspp(channels: int) -> ASPP:
    aspp = ASPP(channels, RATES, BOTTLENECK)
    aspp.project[-1] = nn.Identity()  # the authors' has no dropout
    return aspp
