"""The loss that the settings ask for: a weighted sum of terms, over all masks that a network gives."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from experiments.training.soft_dice import log_dice
from experiments.settings.training import SegmentationSettings
from segmentation.architectures import Outputs
from segmentation.losses.pixels import cross_entropy, focal
from segmentation.losses.regions import dice, lovasz, negative_area_dice, tversky

_TERMS: dict[str, Any] = {
    "cross_entropy": lambda logit, mask, settings: cross_entropy(logit, mask),
    "focal": lambda logit, mask, settings: focal(logit, mask, settings.gamma),
    "dice": lambda logit, mask, settings: dice(logit, mask),
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

    The head's truth is whether the mask as it came out of the augmentation holds a pixel, not the image's label: a crop
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
