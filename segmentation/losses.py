"""The mixed loss of a segmentation: alpha * focal(gamma) - log(dice), per image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from experiments.overlap import log_dice


def focal(logit: Tensor, mask: Tensor, gamma: float) -> Tensor:
    """Mean focal loss of each image (B,) from logits and masks 0/1 (B, 1, H, W); Lin 2017, without class weights."""
    entropy = binary_cross_entropy_with_logits(logit, mask, reduction="none")
    return ((1 - torch.exp(-entropy)) ** gamma * entropy).mean(dim=(1, 2, 3))


def mixed(logit: Tensor, mask: Tensor, alpha: float, gamma: float) -> Tensor:
    """alpha * focal(gamma) - log(dice) of each image (B,); alpha is the mixing weight, not a class balance."""
    return alpha * focal(logit, mask, gamma) + log_dice(logit, mask)
