"""A classifier judged by what its gate would earn: the objective of a trial."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from classification.train import Objective
from experiments.statistics.nested_score import graded, nested_score
from experiments.statistics.threshold_search import quantile_cuts
from experiments.settings.training import ClassificationSettings

CUTS = 256
NEIGHBOURS = 1 / 64
"""Of the plateau, to each side: ±4 of 256 quantiles, as for the ensemble's gate; none where there are few to choose from."""


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
