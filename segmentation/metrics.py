"""Overlap of masks, image by image and over the whole data set, at the size in which they are given."""

from __future__ import annotations

import torch
from torch import Tensor


def counts(prob: Tensor, mask: Tensor, threshold: float = 0.5) -> Tensor:
    """Pixels (B, 4) of intersection, prediction (prob >= threshold), truth and image; inputs (B, 1, H, W)."""
    predicted, true = prob >= threshold, mask > 0
    parts = (predicted & true, predicted, true, torch.ones_like(true))
    return torch.stack([part.sum(dim=(1, 2, 3)) for part in parts], dim=1).float()


def summary(count: Tensor) -> dict[str, float]:
    """From counts (N, 4): mean Dice and IoU of the positive images, the share of empty images left empty, and `pooled`.

    What is undefined, since no image is positive or none is empty, is left out.
    """
    both, predicted, true, _ = count.double().unbind(dim=1)
    values: dict[str, float] = {}
    positive = true > 0
    if positive.any():
        dice, iou = 2 * both / (predicted + true), both / (predicted + true - both)
        values |= {"dice_positive": dice[positive].mean().item(), "iou_positive": iou[positive].mean().item()}
    if (~positive).any():
        values["tnr"] = (predicted[~positive] == 0).double().mean().item()
    return values | pooled(count)


def pooled(count: Tensor) -> dict[str, float]:
    """From counts (N, 4): IoU and Dice over all pixels of the data set as one picture, of the classes background and finding.

    mIoU and mDice are the two classes' mean as in mmsegmentation's IoUMetric; `_weighted` is their mean by true pixels, of
    which the background has nearly all. Neither is the mean over images: a large finding outweighs many small ones. A class
    that is neither present nor predicted is left out.
    """
    both, predicted, true, pixels = count.double().sum(dim=0)
    shared = torch.stack([pixels - predicted - true + both, both])
    sizes = torch.stack([pixels - true, true])
    sums = sizes + torch.stack([pixels - predicted, predicted])
    there = sums > 0
    iou, dice = (shared / (sums - shared))[there], (2 * shared / sums)[there]
    weight = sizes[there] / pixels
    return {
        "miou": iou.mean().item(),
        "mdice": dice.mean().item(),
        "iou_weighted": (iou * weight).sum().item(),
        "dice_weighted": (dice * weight).sum().item(),
    }
