"""Overlap of masks, image by image, at the size they are given in."""

from __future__ import annotations

import torch
from torch import Tensor


def counts(prob: Tensor, mask: Tensor, threshold: float = 0.5) -> Tensor:
    """Pixels (B, 3) of intersection, prediction (prob >= threshold) and truth; inputs (B, 1, H, W)."""
    predicted, true = prob >= threshold, mask > 0
    return torch.stack(
        [part.sum(dim=(1, 2, 3)) for part in (predicted & true, predicted, true)], dim=1
    ).float()


def summary(count: Tensor) -> dict[str, float]:
    """From counts (N, 3): mean Dice and IoU of the positive images, and the share of empty images left empty.

    What does not exist, since no image is positive or none is empty, is left out.
    """
    both, predicted, true = count.double().unbind(dim=1)
    values: dict[str, float] = {}
    positive = true > 0
    if positive.any():
        dice, iou = 2 * both / (predicted + true), both / (predicted + true - both)
        values |= {"dice_positive": dice[positive].mean().item(), "iou_positive": iou[positive].mean().item()}
    if (~positive).any():
        values["tnr"] = (predicted[~positive] == 0).double().mean().item()
    return values
