"""The classifier's loss: alpha * focal(gamma) + (1 - alpha) * cross-entropy."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def mixed(logit: Tensor, label: Tensor, alpha: float, gamma: float) -> Tensor:
    """Loss of each image (B,) from logits (B,) and labels 0/1 (B,).

    focal(gamma) = -(1 - p_t)^gamma log p_t (Lin 2017) without class weights: alpha mixes it with plain cross-entropy, which
    keeps the probabilities near calibrated. alpha 0 or gamma 0 is cross-entropy.
    """
    entropy = binary_cross_entropy_with_logits(logit, label, reduction="none")
    focal = (1 - torch.exp(-entropy)) ** gamma * entropy
    return alpha * focal + (1 - alpha) * entropy
