"""The configured loss: a weighted sum of terms, over all masks that a network outputs."""

from __future__ import annotations

from typing import Any

import torch
from segmentation_models_pytorch.losses import LovaszLoss
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from experiments.settings.training import SegmentationSettings
from experiments.training.losses import EMPTY_SHARE, log_dice
from experiments.training.losses import focal as focal_term
from segmentation.architectures import Outputs

# Weights of background and lesion in the negative-area Dice, as all public copies of Wang 2020 have them.
BACKGROUND, LESION = 0.15, 0.85


_TERMS: dict[str, Any] = {
    "cross_entropy": lambda logit, mask, settings: cross_entropy(logit, mask),
    "focal": lambda logit, mask, settings: focal(logit, mask, settings.gamma),
    "dice": lambda logit, mask, settings: dice(logit, mask),
    "batch_dice": lambda logit, mask, settings: batch_dice(logit, mask),
    "log_dice": lambda logit, mask, settings: log_dice(logit, mask),
    "tversky": lambda logit, mask, settings: tversky(logit, mask, settings.tversky),
    "lovasz": lambda logit, mask, settings: lovasz(logit, mask),
    "negative_area_dice": lambda logit, mask, settings: negative_area_dice(logit, mask),
}


def each(logit: Tensor, mask: Tensor, settings: SegmentationSettings) -> Tensor:
    """Loss of each image (B,) from float32 logits and masks 0/1 (B, 1, H, W).

    The mixed loss, alpha * focal(gamma) - log(dice), unless the settings name others; alpha is its mixing weight, not the
    class balance of the focal loss.
    """
    weights = settings.loss or {"focal": settings.alpha, "log_dice": 1.0}
    terms = [weight * _TERMS[name](logit, mask, settings) for name, weight in weights.items() if weight > 0]
    return torch.stack(terms).sum(dim=0)


def total(outputs: Outputs, mask: Tensor, settings: SegmentationSettings) -> Tensor:
    """Scalar loss of a batch: all masks by their shares, and the image-level head's cross-entropy by its weight.

    The head's target is whether the augmented mask has any pixel, not the image's label: a crop
    may have lost the lesion.
    """
    truth = mask.float()
    loss = torch.stack(
        [share * each(logit.float(), truth, settings).mean() for share, logit in outputs.masks]
    ).sum()
    if outputs.image is None:
        return loss
    present = truth.flatten(1).amax(dim=1)
    return loss + settings.image_head * binary_cross_entropy_with_logits(outputs.image.float(), present)


def dice(logit: Tensor, mask: Tensor) -> Tensor:
    """1 - soft Dice of each image (B,) from logits and masks 0/1 (B, 1, H, W)."""
    return 1 - torch.exp(-log_dice(logit, mask))


def batch_dice(logit: Tensor, mask: Tensor) -> Tensor:
    """1 - soft Dice of the whole batch as one image, the same for each image (B,); logits and masks 0/1 (B, 1, H, W).

    Unlike `dice` it does not score empty images on their own: it scores only pixels that the batch's lesions do not cover.
    Large lesions weigh more than small ones, and its value depends on the batch's size; in return its gradient does not tell a
    network that has learned nothing yet to empty every image (docs/field-trial.md).
    """
    prob = logit.sigmoid()
    dice = (2 * (prob * mask).sum() + 1) / (prob.sum() + mask.sum() + 1)
    return (1 - dice).expand(len(mask))


def tversky(logit: Tensor, mask: Tensor, missed: float) -> Tensor:
    """1 - Tversky index of each image (B,): both / (both + missed * fn + (1 - missed) * fp); Salehi 2017.

    With missed = .5 this is the Dice loss. One pixel is added to numerator and denominator, as in log_dice.
    """
    prob, pixels = logit.sigmoid(), mask[0].numel()
    both, true = (prob * mask).sum(dim=(1, 2, 3)), mask.sum(dim=(1, 2, 3))
    false = prob.sum(dim=(1, 2, 3)) - both
    index = (2 * both + 1) / (2 * (both + missed * (true - both) + (1 - missed) * false) + 1)
    empty = EMPTY_SHARE * pixels / (EMPTY_SHARE * pixels + false)
    return 1 - torch.where(true > 0, index, empty)


def lovasz(logit: Tensor, mask: Tensor) -> Tensor:
    """Lovász hinge of each image (B,), a convex bound of 1 - IoU (Berman 2018); smp's.

    For an empty image it is the hinge 1 + logit of its most wrong pixel alone.
    """
    hinge = LovaszLoss(mode="binary")
    return torch.stack([hinge(one[None], other[None]) for one, other in zip(logit, mask, strict=True)])


def negative_area_dice(logit: Tensor, mask: Tensor) -> Tensor:
    """Weighted soft Dice of each image (B,) that also looks at the background (Wang 2020, doi:10.1109/ACCESS.2020.3020475).

    Prediction and truth become w (2p - 1) and w (2m - 1) with w = .85 in the lesion and .15 outside, so that leaving the
    background empty is rewarded too; 1 - 2 sum(ab) / (sum a^2 + sum b^2). Nothing is added to the sums, since that of the
    truth is never 0, and an empty image needs no rule. We know the paper only from its abstract and public copies of its code.
    """
    weight = BACKGROUND + (LESION - BACKGROUND) * mask
    found, true = weight * (2 * logit.sigmoid() - 1), weight * (2 * mask - 1)
    both = (found * true).sum(dim=(1, 2, 3))
    return 1 - 2 * both / (found.square() + true.square()).sum(dim=(1, 2, 3))


def cross_entropy(logit: Tensor, mask: Tensor) -> Tensor:
    """Mean cross-entropy of each image (B,) from logits and masks 0/1 (B, 1, H, W).

    For a two-class head, whose logits arrive as their difference, this is the softmax's cross-entropy.
    """
    return binary_cross_entropy_with_logits(logit, mask, reduction="none").mean(dim=(1, 2, 3))


def focal(logit: Tensor, mask: Tensor, gamma: float) -> Tensor:
    """Mean focal loss of each image (B,) from logits and masks 0/1 (B, 1, H, W); Lin 2017, without class weights."""
    entropy = binary_cross_entropy_with_logits(logit, mask, reduction="none")
    return focal_term(entropy, gamma).mean(dim=(1, 2, 3))
