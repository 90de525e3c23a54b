"""Train one segmentation network on one fold: `python -m segmentation.train MODEL FOLD`."""

from __future__ import annotations

import torch
from torch import Tensor

from experiments import fold
from experiments.training import Batch
from experiments.training_settings import SegmentationSettings
from imaging.settings import load_section
from segmentation.architectures import build
from segmentation.losses import mixed
from segmentation.metrics import counts, summary


class Objective:
    """Mixed loss; validated by the mean Dice of the positive images."""

    def __init__(self, settings: SegmentationSettings) -> None:
        self.settings = settings

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Scalar loss of logits (B, 1, H, W)."""
        return self._each(output.float(), batch).mean()

    def evidence(self, output: Tensor, batch: Batch) -> Tensor:
        """(B, 4): pixels of intersection, prediction and truth, and the image's loss."""
        logit = output.float()
        return torch.cat([counts(logit.sigmoid(), batch["mask"]), self._each(logit, batch)[:, None]], dim=1)

    def summary(self, evidence: Tensor) -> dict[str, float]:
        """The metrics; `score` is the positive images' mean Dice, 0 when none is positive."""
        values = summary(evidence[:, :3])
        return {"score": values.get("dice_positive", 0.0), "loss": evidence[:, 3].mean().item(), **values}

    def _each(self, logit: Tensor, batch: Batch) -> Tensor:
        return mixed(logit, batch["mask"].float(), self.settings.alpha, self.settings.gamma)


def main() -> None:
    """The DVC stage train_segmentation."""
    model, number = fold.arguments("segmentation")
    settings = load_section("segmentation", SegmentationSettings)
    fold.train("segmentation", model, number, settings, build, Objective)


if __name__ == "__main__":
    main()
