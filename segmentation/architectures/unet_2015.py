"""The U-Net of Ronneberger, Fischer and Brox 2015 (doi:10.1007/978-3-319-24574-4_28).

Its levels, widths, up-convolutions, dropout and initialisation; convolutions are padded, so that the mask is as large as the
image, whereas the paper's lose a pixel at each border.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from segmentation.architectures.segmenter import Body

LEVELS = 5
DROPOUT = 0.5  # "drop-out layers at the end of the contracting path"; the rate is not stated; the authors' code has .5


class UNet2015(Body):
    """See segmenter.Body; H and W divisible by 16. Channels double from `base` (64) to 16 times it (1,024)."""

    encoder: nn.ModuleList

    def __init__(self, base: int, classes: int) -> None:
        super().__init__()
        widths = [base * 2**level for level in range(LEVELS)]
        self.encoder = nn.ModuleList(_pair(a, b) for a, b in zip([1, *widths], widths, strict=False))
        steps = list(reversed(list(itertools.pairwise(widths))))
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, kernel_size=2, stride=2) for a, b in steps)
        self.merge = nn.ModuleList(_pair(b, a) for a, b in steps)
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Conv2d(base, classes, kernel_size=1)
        self.heads, self.deepest = [self.head], widths[-1]
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight)  # Gaussian of deviation sqrt(2 / N), section 3

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """See segmenter.Body."""
        maps = []
        for level, layers in enumerate(self.encoder):
            x = layers(x if level == 0 else max_pool2d(x, 2))
            maps.append(self.dropout(x) if level >= LEVELS - 2 else x)
        x = deepest = maps.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([maps.pop(), up(x)], dim=1))
        return [self.head(x)], deepest


def _pair(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels_out, channels_out, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
    )
