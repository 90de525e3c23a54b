"""A plain vision transformer as an encoder for convolutional decoders: one resolution becomes a pyramid (ViTDet, Li 2022)."""

from __future__ import annotations

from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

LEVELS = 4
STRIDES = (4, 8, 16, 32)
WIDTHS = (64, 128, 256, 512)
"""Channels of the pyramid, about those of a ResNet."""


class ViTEncoder(nn.Module):
    """float (B, 1, s, s) to six maps of strides 1 to 32; those of strides 1 and 2 hold nothing that the ViT computed.

    The image is resized to the nearest multiple of the patch (512 to 518 for patches of 14), four depths are read out,
    projected and resized to the strides.
    """

    def __init__(self, name: str, image_size: int, pretrained: bool = False, **extra: Any) -> None:
        super().__init__()
        with torch.device("meta"):
            whole: Any = timm.create_model(name)
        patch = whole.patch_embed.patch_size
        self.patch = int(patch[0] if isinstance(patch, tuple) else patch)
        net: Any = timm.create_model(
            name, pretrained=pretrained, in_chans=1, num_classes=0, img_size=self.input_side(image_size),
            dynamic_img_size=True, **extra,
        )  # fmt: skip
        self.model: Any
        self.model, depth, width = net, len(net.blocks), int(net.embed_dim)
        self.indices = [depth * (level + 1) // LEVELS - 1 for level in range(LEVELS)]
        self.project = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.GELU())
            for channels in WIDTHS
        )
        self.out_channels = [1, 0, *WIDTHS]

    def input_side(self, side: int) -> int:
        """Multiple of the patch nearest to `side`."""
        return max(1, round(side / self.patch)) * self.patch

    def forward(self, image: Tensor) -> list[Tensor]:
        side = image.shape[-1]
        inner = self.input_side(side)
        entering = (
            image if inner == side else interpolate(image, (inner, inner), mode="bilinear", antialias=True)
        )
        tokens: Any = self.model.forward_intermediates(
            entering, indices=self.indices, intermediates_only=True
        )
        maps = [
            interpolate(layer(one), (side // stride, side // stride), mode="bilinear", align_corners=False)
            for layer, one, stride in zip(self.project, tokens, STRIDES, strict=True)
        ]
        return [image, image.new_zeros(len(image), 0, side // 2, side // 2), *maps]
