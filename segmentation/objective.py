"""The segmentation training objective: loss, validation metrics and the score of a tuning trial."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from experiments.settings.training import SegmentationSettings
from experiments.statistics.nested_score import graded, nested_score
from experiments.statistics.threshold_search import area_grid
from experiments.training.loop import Batch
from segmentation.architectures import Outputs
from segmentation.losses import each, total
from segmentation.metrics import counts, summary

STEP = 8
"""Every eighth of the 256 levels, as where a rule of four numbers is searched: finer than a network of a few epochs is worth."""
BINS = 256 // STEP
AREAS = 16
NEVER = 2**40
"""An area that no image has: submitting nothing is a rule as well."""
LARGEST = 0.04
"""Of the image: the top of the areas tried, about SIIM's largest 5 % (45,772 of 1024² pixels)."""


class Objective:
    """The loss of the settings; validated by the mean Dice of the positive images."""

    def __init__(self, settings: SegmentationSettings) -> None:
        self.settings = settings

    def loss(self, output: Outputs, batch: Batch) -> Tensor:
        """Scalar loss of a batch."""
        return total(output, batch["mask"], self.settings)

    def evidence(self, output: Tensor, batch: Batch) -> Tensor:
        """(B, 5): pixels of intersection, prediction, truth and image, and the image's loss, from logits (B, 1, H, W)."""
        logit, mask = output.float(), batch["mask"]
        loss = each(logit, mask.float(), self.settings)
        return torch.cat([counts(logit.sigmoid(), mask), loss[:, None]], dim=1)

    def summary(self, evidence: Tensor) -> dict[str, float]:
        """The metrics; `score` is the positive images' mean Dice, 0 when none is positive."""
        values = summary(evidence[:, :4])
        return {"score": values.get("dice_positive", 0.0), "loss": evidence[:, 4].mean().item(), **values}

    def maps(self, net: nn.Module, image: Tensor) -> Tensor:
        """Probabilities (B, s, s) of normalised images."""
        return net(image)[:, 0].sigmoid()


class Judged(Objective):
    """The training's own objective, but `score` is the competition's under the nested rule of the first place's form:
    submit iff enough pixels reach a top level, and cut the mask at a lower one."""

    def __init__(self, settings: SegmentationSettings, groups: NDArray[np.int64]) -> None:
        """groups: (N,) of the validation images' patients, in their order."""
        super().__init__(settings)
        self.groups = groups

    def evidence(self, output: Tensor, batch: Batch) -> Tensor:
        """The training's own, and (B, 2 * 32) pixels of each range of levels: in the image, and inside the truth."""
        own = super().evidence(output, batch)
        return torch.cat([own, levels(output.float().sigmoid(), batch["mask"]).to(own)], dim=1)

    def summary(self, evidence: Tensor) -> dict[str, float]:
        """The training's own, with `score` as above, graded by the positives' mean Dice at their best level."""
        own, counts = evidence[:, : -2 * BINS], evidence[:, -2 * BINS :]
        pixels = int(counts[0, :BINS].sum())
        total, inside = _above(counts.numpy().astype(np.int64).reshape(-1, 2, BINS)).swapaxes(0, 1)
        dice = 2 * inside / np.maximum(total + inside[:, :1], 1)
        positive = inside[:, 0] > 0
        quality = float(dice[positive].mean(axis=0).max()) if positive.any() else 0.0
        kaggle = earned(total, dice, positive, pixels, self.groups)
        return {**super().summary(own), "score": graded(kaggle, quality), "kaggle": kaggle}


def levels(prob: Tensor, mask: Tensor) -> Tensor:
    """Pixels (B, 2 * 32) at each range of 8 of the 256 levels, from (B, 1, H, W): all, then those of the mask."""
    count = len(prob)
    place = (prob * 255).round().long().flatten(1) // STEP + BINS * torch.arange(count, device=prob.device)[
        :, None
    ]
    total = torch.bincount(place.flatten(), minlength=count * BINS)
    inside = torch.bincount(place[mask.flatten(1) > 0], minlength=count * BINS)
    return torch.cat([total.view(count, BINS), inside.view(count, BINS)], dim=1)


def earned(
    total: NDArray[np.int64],
    dice: NDArray[np.float64],
    positive: NDArray[np.bool_],
    pixels: int,
    groups: NDArray[np.int64],
) -> float:
    """Nested score from what each of the levels 0, 8, … 248 gives: pixels (N, 32) at or above it and Dice (N, 32)."""
    cuts = np.append(area_grid(AREAS, high=max(2, round(LARGEST * pixels))), NEVER)
    level = np.arange(1, BINS)  # level 0 is the whole image
    ordered = (level[None] <= level[:, None])[:, None, :]
    empty = (~positive).astype(np.float64)
    return nested_score(total[:, 1:], cuts, dice[:, 1:], empty, groups, allowed=ordered)


def _above(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.cumsum(counts[..., ::-1], axis=-1)[..., ::-1]
