"""Train one classifier on one fold: `python -m classification.train MODEL FOLD`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from classification.losses import mixed, where
from classification.metrics import summary
from classification.model import Localising, build
from experiments.training import train_fold
from experiments.training.loop import Batch
from experiments.settings.training import ClassificationSettings
from imaging.settings import load_section


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


def main() -> None:
    """The DVC stage train_classification."""
    model, number = train_fold.arguments("classification")
    settings = load_section("classification", ClassificationSettings)
    train_fold.train("classification", model, number, settings, build, Objective)


if __name__ == "__main__":
    main()
