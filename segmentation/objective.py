"""The segmentation objective: loss, validation metrics, and the score of checkpoints, plateau schedules and trials."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from experiments.settings.training import SegmentationSettings
from experiments.statistics.nested_score import graded, nested_score
from experiments.statistics.threshold_search import area_grid
from experiments.training.learner import Batch
from imaging import map_levels
from segmentation.architectures import Outputs
from segmentation.losses import each, total
from segmentation.metrics import counts, summary

STEP = 8
"""Every eighth of the 256 levels of a map is tried: finer steps fit noise in one fold."""
BINS = 256 // STEP
AREAS = 16
NEVER = 2**40
"""An area that no image reaches: submitting nothing is a rule too."""
LARGEST = 0.04
"""Share of the image: the largest area tried, about SIIM's 95 % quantile (45,772 of 1024² pixels)."""


class Objective:
    """The loss of the settings; scored by the competition's metric under a nested rule of the winning solution's form: submit
    iff enough pixels reach a top level, and cut the mask at a lower one."""

    def __init__(self, settings: SegmentationSettings, groups: NDArray[np.int64]) -> None:
        """groups: (N,) patient groups of the validation images, in their order."""
        self.settings, self.groups = settings, groups

    def loss(self, output: Outputs, batch: Batch) -> Tensor:
        """Scalar loss of a batch."""
        return total(output, batch["mask"], self.settings)

    def evidence(self, output: Tensor, batch: Batch) -> Tensor:
        """(B, 5 + 2 * 32) from logits (B, 1, H, W): pixels of intersection, prediction, truth and image, the image's loss, then
        the pixels in each range of levels, of the image and of the truth."""
        logit, mask = output.float(), batch["mask"]
        loss = each(logit, mask.float(), self.settings)
        prob = logit.sigmoid()
        found = torch.cat([counts(prob, mask), loss[:, None]], dim=1)
        return torch.cat([found, levels(logit, mask).to(found)], dim=1)

    def summary(self, evidence: Tensor) -> dict[str, float]:
        """The metrics; `kaggle` is the nested score and `score` the same, with the positives' mean Dice at their best level
        added in a ten-thousandth to break ties."""
        found, pixels = evidence[:, : -2 * BINS], evidence[:, -2 * BINS :]
        side = int(pixels[0, :BINS].sum())
        total, inside = _above(pixels.numpy().astype(np.int64).reshape(-1, 2, BINS)).swapaxes(0, 1)
        dice = 2 * inside / np.maximum(total + inside[:, :1], 1)
        positive = inside[:, 0] > 0
        quality = float(dice[positive].mean(axis=0).max()) if positive.any() else 0.0
        kaggle = kaggle_score(total, dice, positive, side, self.groups)
        values = summary(found[:, :4])
        return {
            "score": graded(kaggle, quality),
            "kaggle": kaggle,
            "loss": found[:, 4].mean().item(),
            **values,
        }

    def maps(self, net: nn.Module, image: Tensor) -> Tensor:
        """Probabilities (B, s, s) of normalised images."""
        return net(image)[:, 0].sigmoid()


def levels(logit: Tensor, mask: Tensor) -> Tensor:
    """Pixels (B, 2 * 32) at each range of 8 of the 256 levels, from (B, 1, H, W): all, then those of the mask."""
    count = len(logit)
    level = (logit / map_levels.STEP + map_levels.HALF).nan_to_num(0).clamp(0, map_levels.TOP)
    place = level.long().flatten(1) // STEP + BINS * torch.arange(count, device=logit.device)[:, None]
    total = torch.bincount(place.flatten(), minlength=count * BINS)
    inside = torch.bincount(place[mask.flatten(1) > 0], minlength=count * BINS)
    return torch.cat([total.view(count, BINS), inside.view(count, BINS)], dim=1)


def kaggle_score(
    total: NDArray[np.int64],
    dice: NDArray[np.float64],
    positive: NDArray[np.bool_],
    pixels: int,
    groups: NDArray[np.int64],
) -> float:
    """Nested Kaggle score from the pixels (N, 32) at or above the levels 0, 8, … 248 and the Dice (N, 32) of masks cut there."""
    cuts = np.append(area_grid(AREAS, high=max(2, round(LARGEST * pixels))), NEVER)
    level = np.arange(1, BINS)  # level 0 is the whole image
    ordered = (level[None] <= level[:, None])[:, None, :]
    empty = (~positive).astype(np.float64)
    return nested_score(total[:, 1:], cuts, dice[:, 1:], empty, groups, allowed=ordered)


def _above(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.cumsum(counts[..., ::-1], axis=-1)[..., ::-1]
