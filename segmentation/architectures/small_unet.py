"""A small U-Net after Ronneberger 2015, with batch normalisation and nearest-neighbour upsampling; unet_2015.py has the paper's.

Two 3 x 3 convolutions per level, max pooling down, nearest neighbour up, concatenated with the level's own map. No pretrained
weights exist for it; at a small width it learns fastest from few images on a CPU.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from segmentation.architectures.segmenter import Body

LEVELS = 6  # five halvings, as the encoders of the other architectures
WIDEST = 1024  # of the 2015 paper, at its base of 64


class PlainUNet(Body):
    """See segmenter.Body; H and W divisible by 32. Channels double from `base` down to 16 times it."""

    encoder: nn.ModuleList

    def __init__(self, base: int, classes: int) -> None:
        super().__init__()
        widths = [min(base * 2**level, base * WIDEST // 64) for level in range(LEVELS)]
        ins = [1, *widths[:-1]]
        self.encoder = nn.ModuleList(
            nn.Sequential(_layer(a, b), _layer(b, b)) for a, b in zip(ins, widths, strict=True)
        )
        pairs = list(itertools.pairwise(widths))
        self.up = nn.ModuleList(nn.Sequential(_layer(a + b, a), _layer(a, a)) for a, b in reversed(pairs))
        self.head = nn.Conv2d(base, classes, kernel_size=1)
        self.heads, self.deepest = [self.head], widths[-1]

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """See segmenter.Body."""
        maps = []
        for level, layers in enumerate(self.encoder):
            x = layers(x if level == 0 else max_pool2d(x, 2))
            maps.append(x)
        x = deepest = maps.pop()
        for layers in self.up:
            x = layers(torch.cat([interpolate(x, scale_factor=2.0, mode="nearest"), maps.pop()], dim=1))
        return [self.head(x)], deepest


def _layer(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )
