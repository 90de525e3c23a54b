"""Losses that look at each pixel for itself: an empty image is nothing special to them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def cross_entropy(logit: Tensor, mask: Tensor) -> Tensor:
    """Mean cross-entropy of each image (B,) from logits and masks 0/1 (B, 1, H, W).

    Of a two-class head, whose logits arrive as their difference, this is the softmax's cross-entropy.
    """
    return binary_cross_entropy_with_logits(logit, mask, reduction="none").mean(dim=(1, 2, 3))


def focal(logit: Tensor, mask: Tensor, gamma: float) -> Tensor:
    """Mean focal loss of each image (B,) from logits and masks 0/1 (B, 1, H, W); Lin 2017, without class weights."""
    entropy = binary_cross_entropy_with_logits(logit, mask, reduction="none")
    return ((1 - torch.exp(-entropy)) ** gamma * entropy).mean(dim=(1, 2, 3))
