"""The classifier's training objective: loss, validation metrics and the score of a tuning trial."""

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
from experiments.training.loop import Batch

CUTS = 256
NEIGHBOURS = 1 / 64
"""Of the plateau, to each side: ±4 of 256 quantiles, as for the ensemble's gate; none where there are few to choose from."""


class Objective:
    """Mixed loss, and with a localising head the cells' loss; validated by AUROC, average precision and Brier score."""

    def __init__(self, settings: ClassificationSettings) -> None:
        self.settings = settings

    def loss(self, output: Any, batch: Batch) -> Tensor:
        """Scalar loss of logits (B, 1), or of (logits, cells' logits (B, 1, h, w))."""
        logit, cells = output if isinstance(output, tuple) else (output, None)
        each = mixed(logit[:, 0].float(), batch["label"], self.settings.alpha, self.settings.gamma)
        if cells is not None:
            each = each + self.settings.mask_weight * where(cells.float(), batch["mask"])
        return each.mean()

    def evidence(self, output: Tensor, batch: Batch) -> Tensor:
        """(B, 2): probability and label."""
        return torch.stack([output[:, 0].float().sigmoid(), batch["label"]], dim=1)

    def summary(self, evidence: Tensor) -> dict[str, float]:
        """The metrics; `score` is the negative log loss, which unlike AUROC is never saturated."""
        values = summary(evidence[:, 0].numpy(), evidence[:, 1].numpy())
        return {"score": -values["log_loss"], **values}

    def maps(self, net: nn.Module, image: Tensor) -> Tensor | None:
        """Where a localising head sees it, as probabilities (B, h, w) of normalised images; None of another head."""
        return net.where(image)[:, 0].sigmoid() if isinstance(net, Localising) else None


class Judged(Objective):
    """The training's own objective, but `score` is the competition's if every mask that the gate lets through, and that has
    a lesion to find, earned the Dice `mask_dice`."""

    def __init__(self, settings: ClassificationSettings, groups: NDArray[np.int64], mask_dice: float) -> None:
        """groups: (N,) of the validation images' patients, in their order."""
        super().__init__(settings)
        self.groups, self.mask_dice = groups, mask_dice

    def summary(self, evidence: Tensor) -> dict[str, float]:
        """The training's own, with `score` as above, graded by the average precision."""
        prob, label = evidence[:, 0].double().numpy(), evidence[:, 1].double().numpy()
        own = super().summary(evidence)
        kaggle = earned(prob, label, self.groups, self.mask_dice)
        return {**own, "score": graded(kaggle, own.get("average_precision", 0.0)), "kaggle": kaggle}


def earned(
    prob: NDArray[np.float64], label: NDArray[np.float64], groups: NDArray[np.int64], mask_dice: float
) -> float:
    """Nested score of a gate on probabilities (N,) against labels 0/1 (N,): a negative left empty earns 1, a positive let
    through `mask_dice`."""
    cuts = np.append(quantile_cuts(prob, CUTS), np.inf)  # the last one submits nothing
    radius = (0, int(NEIGHBOURS * len(cuts)), 0)
    return nested_score(prob[:, None], cuts, mask_dice * label[:, None], 1.0 - label, groups, radius)
