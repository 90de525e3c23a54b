"""mmsegmentation's UNet-S5-D16 with FCN head (configs/_base_/models/fcn_unet_s5-d16.py), layer for layer.

Five stages, halved four times; upsampling by bilinear interpolation and a 1 x 1 convolution. With base 64 and its three input
channels the backbone has 28,949,568 parameters, with the two-class head 28,986,690. A grey image enters as three equal
channels, as in mmsegmentation, which reads it from a colour PNG.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from segmentation.architectures.segmenter import Body

STAGES = 5
DROPOUT = 0.1  # of whole channels, before the last layer of a head


class UNetS5(Body):
    """See segmenter.Body; H and W divisible by 16. auxiliary: weight in the loss of a second head on the half-size map
    (0.4 in the base config, absent in the medical ones); 0: none.
    """

    encoder: nn.ModuleList

    def __init__(self, base: int, classes: int, auxiliary: float) -> None:
        super().__init__()
        widths = [base * 2**stage for stage in range(STAGES)]
        self.encoder = nn.ModuleList(
            nn.Sequential(_layer(a, b), _layer(b, b)) for a, b in zip([3, *widths], widths, strict=False)
        )
        steps = list(reversed(list(itertools.pairwise(widths))))
        self.narrow = nn.ModuleList(_layer(b, a, kernel=1) for a, b in steps)
        self.merge = nn.ModuleList(nn.Sequential(_layer(2 * a, a), _layer(a, a)) for a, _ in steps)
        self.head = _FCNHead(base, base, classes)
        self.auxiliary = _FCNHead(2 * base, base, classes) if auxiliary else None
        self.weights = (auxiliary, 1.0) if auxiliary else (1.0,)
        self.heads = [self.head.last, *([self.auxiliary.last] if self.auxiliary else [])]
        self.deepest = widths[-1]
        self._initialise()

    def _initialise(self) -> None:
        """He normal initialisation by fan-out (mmengine's Kaiming default); the heads' last layer normal with deviation .01."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        for last in self.heads:
            nn.init.normal_(last.weight, std=0.01)
            assert last.bias is not None
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """See segmenter.Body."""
        maps, x = [], x.expand(-1, 3, -1, -1)
        for stage, layers in enumerate(self.encoder):
            x = layers(x if stage == 0 else max_pool2d(x, 2))
            maps.append(x)
        x = deepest = maps.pop()
        masks = []
        for narrow, merge in zip(self.narrow, self.merge, strict=True):
            if not maps[1:] and self.auxiliary is not None and self.training:
                masks.append(_twice(self.auxiliary(x)))
            x = merge(torch.cat([maps.pop(), narrow(_twice(x))], dim=1))
        return [*masks, self.head(x)], deepest


class _FCNHead(nn.Module):
    def __init__(self, channels_in: int, channels: int, classes: int) -> None:
        super().__init__()
        self.layer, self.dropout = _layer(channels_in, channels), nn.Dropout2d(DROPOUT)
        self.last = nn.Conv2d(channels, classes, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.dropout(self.layer(x)))


def _twice(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def _layer(channels_in: int, channels_out: int, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )
