"""The classifier's loss: alpha * focal(gamma) + (1 - alpha) * cross-entropy, and what a localising head adds to it."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d, binary_cross_entropy_with_logits

from experiments.training.losses import focal, log_dice


def mixed(logit: Tensor, label: Tensor, alpha: float, gamma: float) -> Tensor:
    """Loss of each image (B,) from logits (B,) and labels 0/1 (B,).

    focal(gamma) = -(1 - p_t)^gamma log p_t (Lin 2017) without class weights: alpha mixes it with plain cross-entropy,
    which keeps the probabilities near calibrated. alpha 0 or gamma 0 is cross-entropy.
    """
    entropy = binary_cross_entropy_with_logits(logit, label, reduction="none")
    return alpha * focal(entropy, gamma) + (1 - alpha) * entropy


def where(cells: Tensor, mask: Tensor) -> Tensor:
    """Loss of each image (B,) from the cells' logits (B, 1, h, w) and the mask 0/1 (B, 1, H, W).

    A cell is positive when the mask touches it; cross-entropy alone would drown the few positive cells, so -log(dice)
    is added.
    """
    touched = adaptive_max_pool2d(mask.float(), cells.shape[-2:])
    entropy = binary_cross_entropy_with_logits(cells, touched, reduction="none").mean(dim=(1, 2, 3))
    return entropy + log_dice(cells, touched)
