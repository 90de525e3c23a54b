"""What all segmentation networks share around their bodies: one logit per pixel, the prior, the image-level head."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, logsigmoid


class Body(nn.Module):
    """An architecture: its parts and its forward pass."""

    encoder: nn.Module
    """The part that can be frozen, or start from a classifier's weights."""
    deepest: int
    """Channels of the coarsest map."""
    heads: list[nn.Conv2d]
    """The layers that output a mask's logits."""
    weights: tuple[float, ...] = (1.0,)
    """Share of each mask in the loss; the last mask is the prediction."""

    def forward(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        """float (B, 1, H, W) to the masks' logits (B, classes, H, W) and the coarsest map (B, deepest, h, w).

        In prediction only the last mask need be given.
        """
        raise NotImplementedError


class Outputs(NamedTuple):
    """A network's output in training: every mask with its share in the loss, and the image's logit."""

    masks: list[tuple[float, Tensor]]
    """Share and logits (B, 1, H, W); the last is the prediction."""
    image: Tensor | None
    """Logit (B,) of a non-empty mask; None without an image-level head."""


class Segmenter(nn.Module):
    """A body as a network: float (B, 1, H, W) to logits (B, 1, H, W) in prediction, to `Outputs` in training.

    With an image-level head each pixel's probability in prediction is its own times the image's (the eighth place of SIIM-ACR
    multiplied its maps by a classifier's score in this way), so what the head rules out stays empty.
    """

    def __init__(self, body: Body, image_head: bool, prior: float | None) -> None:
        super().__init__()
        self.body = body
        self.image_head = nn.Linear(body.deepest, 1) if image_head else None
        if prior is not None:
            for head in body.heads:
                assert head.bias is not None
                nn.init.zeros_(head.bias)
                nn.init.constant_(head.bias[-1:], math.log(prior / (1 - prior)))

    @property
    def encoder(self) -> nn.Module:
        """The body's."""
        return self.body.encoder

    def forward(self, image: Tensor) -> Tensor | Outputs:
        masks, deepest = self.body(image)
        logits = [log_odds(mask) for mask in masks]
        present = (
            None if self.image_head is None else self.image_head(adaptive_avg_pool2d(deepest, 1).flatten(1))
        )
        if self.training:
            shares = self.body.weights
            return Outputs(list(zip(shares, logits, strict=True)), None if present is None else present[:, 0])
        return logits[-1] if present is None else product(logits[-1], present[:, :, None, None])


def log_odds(logits: Tensor) -> Tensor:
    """(B, 1, H, W) as it is; for two classes' logits (B, 2, H, W) their difference (B, 1, H, W).

    Its sigmoid is the softmax's probability of the second class, and its cross-entropy the softmax's.
    """
    return logits if logits.shape[1] == 1 else logits[:, 1:] - logits[:, :1]


def product(one: Tensor, other: Tensor) -> Tensor:
    """The logit of the product of two probabilities given as logits; broadcasts."""
    log_both = (logsigmoid(one.float()) + logsigmoid(other.float())).clamp(
        max=-1e-6
    )  # a product of 1 has none
    return log_both - torch.log1p(-torch.exp(log_both))
