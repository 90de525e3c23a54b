"""Train one segmentation network on one fold: `python -m segmentation.train MODEL FOLD`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from experiments.training import train_fold
from experiments.training.loop import Batch
from experiments.settings.training import SegmentationSettings
from imaging.settings import load_section
from segmentation import encoder_transfer
from segmentation.architectures import Outputs, build
from segmentation.losses import each, total
from segmentation.metrics import counts, summary


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


def main() -> None:
    """The DVC stage train_segmentation."""
    model, number = train_fold.arguments("segmentation")

    def begin(settings: SegmentationSettings) -> nn.Module:
        net = build(settings)
        if settings.encoder_from is not None:
            encoder_transfer.hand_on(net, settings.encoder_from, number)
        return net

    settings = load_section("segmentation", SegmentationSettings)
    train_fold.train(
        "segmentation", model, number, settings, begin, Objective,
        origin=lambda chosen: encoder_transfer.origin(chosen.encoder_from, number),
    )  # fmt: skip


if __name__ == "__main__":
    main()
