"""Losses that look at a region: what is shared, what is missed, what is wrongly marked. Each image for itself.

An empty image has no region to share. Its rule here is that of experiments.training.soft_dice: the falsely marked area is measured
against a share s of the image, so that the overlap is s / (s + area), 1 when nothing is marked.
"""

from __future__ import annotations

import torch
from segmentation_models_pytorch.losses import LovaszLoss
from torch import Tensor

from experiments.training.soft_dice import EMPTY_SHARE, log_dice

# Weights of background and lesion in the negative-area Dice, as all public copies of Wang 2020 have them.
BACKGROUND, LESION = 0.15, 0.85


def dice(logit: Tensor, mask: Tensor) -> Tensor:
    """1 - soft Dice of each image (B,) from logits and masks 0/1 (B, 1, H, W)."""
    return 1 - torch.exp(-log_dice(logit, mask))


def tversky(logit: Tensor, mask: Tensor, missed: float) -> Tensor:
    """1 - Tversky index of each image (B,): both / (both + missed * fn + (1 - missed) * fp); Salehi 2017.

    With missed = .5 this is the Dice loss. One pixel is added above and below, as in log_dice.
    """
    prob, pixels = logit.sigmoid(), mask[0].numel()
    both, true = (prob * mask).sum(dim=(1, 2, 3)), mask.sum(dim=(1, 2, 3))
    false = prob.sum(dim=(1, 2, 3)) - both
    index = (2 * both + 1) / (2 * (both + missed * (true - both) + (1 - missed) * false) + 1)
    empty = EMPTY_SHARE * pixels / (EMPTY_SHARE * pixels + false)
    return 1 - torch.where(true > 0, index, empty)


def lovasz(logit: Tensor, mask: Tensor) -> Tensor:
    """Lovász hinge of each image (B,), a convex bound of 1 - IoU (Berman 2018); smp's.

    Of an empty image it is the hinge 1 + logit of its most wrong pixel alone.
    """
    hinge = LovaszLoss(mode="binary")
    return torch.stack([hinge(one[None], other[None]) for one, other in zip(logit, mask, strict=True)])


def negative_area_dice(logit: Tensor, mask: Tensor) -> Tensor:
    """Weighted soft Dice of each image (B,) that also looks at the background (Wang 2020, doi:10.1109/ACCESS.2020.3020475).

    Prediction and truth become w (2p - 1) and w (2m - 1) with w = .85 in the lesion and .15 outside, so that leaving the
    background empty is rewarded too; 1 - 2 sum(ab) / (sum a^2 + sum b^2). Nothing is added to the sums, since that of the
    truth is never 0, and an empty image needs no rule. The paper is known to us by its abstract and public copies only.
    """
    weight = BACKGROUND + (LESION - BACKGROUND) * mask
    found, true = weight * (2 * logit.sigmoid() - 1), weight * (2 * mask - 1)
    both = (found * true).sum(dim=(1, 2, 3))
    return 1 - 2 * both / (found.square() + true.square()).sum(dim=(1, 2, 3))
