"""Train one segmentation network on one fold: `python -m segmentation.train MODEL FOLD`."""

from __future__ import annotations

from torch import nn

from experiments.networks import refit, weights
from experiments.settings.training import SegmentationSettings
from experiments.training import train_fold
from imaging.io import command
from imaging.io.config import load_section
from segmentation.architectures import build, encoder_weights
from segmentation.objective import Objective


def main() -> None:
    """The DVC stage train_segmentation."""
    model, number, again = train_fold.arguments("segmentation")
    folder = refit.FOLDER if again else weights.MODELS

    def begin(settings: SegmentationSettings) -> nn.Module:
        net = build(settings)
        if settings.encoder_from is not None:
            encoder_weights.transfer(net, settings.encoder_from, number, folder)
        return net

    settings = load_section("segmentation", SegmentationSettings)
    train_fold.train(
        "segmentation", model, number, settings, begin, Objective,
        origin=lambda chosen: encoder_weights.origin(chosen.encoder_from, number, folder), again=again,
    )  # fmt: skip


if __name__ == "__main__":
    command.run(main)
