"""The classifier's objective: loss, validation metrics, and the score of checkpoints, plateau schedules and trials."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from classification.losses import mixed, where
from classification.metrics import summary
from classification.model import Localising
from experiments.settings.training import ClassificationSettings
from experiments.statistics.nested_score import graded, nested_score
from experiments.statistics.threshold_search import quantile_cuts
from experiments.training.learner import Batch

CUTS = 256
NEIGHBOURS = 1 / 64
"""Half-width of the smoothing of the search surface: ±4 of 256 quantiles, as for the ensemble's gate; 0 with few cuts."""


class Objective:
    """Mixed loss, and with a localising head the cells' loss; scored by the competition's metric if every mask that the gate
    lets through earned the Dice `mask_dice` on a positive image."""

    def __init__(self, settings: ClassificationSettings, groups: NDArray[np.int64]) -> None:
        """groups: (N,) patient groups of the validation images, in their order."""
        self.settings, self.groups = settings, groups

    def loss(self, output: Any, batch: Batch) -> Tensor:
        """Scalar loss of logits (B, 1), or of (logits, cells' logits (B, 1, h, w))."""
        logit, cells = output if isinstance(output, tuple) else (output, None)
        each = mixed(logit[:, 0].float(), batch["label"], self.settings.alpha, self.settings.gamma)
        if cells is not None:
            cell_loss = where(cells.float(), batch["mask"])
            if "located" in batch:  # which cells of a positive without mask or boxes are positive is unknown
                cell_loss = cell_loss * batch["located"]
            each = each + self.settings.mask_weight * cell_loss
        return each.mean()

    def evidence(self, output: Tensor, batch: Batch) -> Tensor:
        """(B, 2): probability and label."""
        return torch.stack([output[:, 0].float().sigmoid(), batch["label"]], dim=1)

    def summary(self, evidence: Tensor) -> dict[str, float]:
        """The metrics; `kaggle` is the nested score and `score` the same, with a ten-thousandth of the average precision added
        to break ties."""
        prob, label = evidence[:, 0].double().numpy(), evidence[:, 1].double().numpy()
        values = summary(prob, label)
        kaggle = kaggle_score(prob, label, self.groups, self.settings.mask_dice)
        return {"score": graded(kaggle, values.get("average_precision", 0.0)), "kaggle": kaggle, **values}

    def maps(self, net: nn.Module, image: Tensor) -> Tensor | None:
        """Probabilities (B, h, w) of a localising head for normalised images; None for another head."""
        return net.where(image)[:, 0].sigmoid() if isinstance(net, Localising) else None


def kaggle_score(
    prob: NDArray[np.float64], label: NDArray[np.float64], groups: NDArray[np.int64], mask_dice: float
) -> float:
    """Nested Kaggle score of a gate on probabilities (N,) against labels 0/1 (N,): a negative left empty earns 1, a positive
    let through `mask_dice`."""
    cuts = np.append(quantile_cuts(prob, CUTS), np.inf)  # the last one submits nothing
    radius = (0, int(NEIGHBOURS * len(cuts)), 0)
    return nested_score(prob[:, None], cuts, mask_dice * label[:, None], 1.0 - label, groups, radius)
