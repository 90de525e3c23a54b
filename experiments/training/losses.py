"""The two loss terms that both stages use: focal loss, and Dice per image with an explicit rule for empty masks.

A Dice loss over a whole batch, as most libraries have it, depends on the batch's size and lets a large lesion hide a
small one; one that skips empty images teaches nothing about false positives. Here each image counts for itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

# An empty image's false area is measured against this share of the image, about that of the median lesion
# (8,630 of 1024² pixels = .8 % in SIIM-ACR): predicting a median lesion where there is none costs log 2.
EMPTY_SHARE = 0.01


def focal(entropy: Tensor, gamma: float) -> Tensor:
    """Focal loss (1 - p)^gamma * (-log p) from the cross-entropy -log p, of any shape; Lin 2017, without class weights.

    1 - p is computed as -expm1(-entropy), which keeps its digits where p is near 1, and kept above 0: for gamma below 1 the
    power's slope at 0 is infinite, and infinity times a vanishing gradient is NaN.
    """
    missing = (-torch.expm1(-entropy)).clamp(min=torch.finfo(entropy.dtype).tiny)
    return missing**gamma * entropy


def log_dice(logit: Tensor, mask: Tensor) -> Tensor:
    """-log of each image's soft Dice (B,) from logits and masks 0..1 (B, 1, H, W).

    soft Dice = (2 sum p m + 1) / (sum p + sum m + 1); the 1 is one pixel and keeps the logarithm finite.
    An empty image: -log(s / (s + sum p)), s = EMPTY_SHARE of its pixels.
    """
    prob = logit.sigmoid()
    both = (prob * mask).sum(dim=(1, 2, 3))
    predicted, true = prob.sum(dim=(1, 2, 3)), mask.sum(dim=(1, 2, 3))
    positive = (2 * both + 1) / (predicted + true + 1)
    share = EMPTY_SHARE * mask[0].numel()
    return -torch.log(torch.where(true > 0, positive, share / (share + predicted)))
