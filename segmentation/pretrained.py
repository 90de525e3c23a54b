"""Check that pretrained weights fit: `python -m segmentation.pretrained ENCODER WEIGHTS`.

Builds the network as training would and prints source, checksum and normalisation, or the tensors that do not fit.
"""

from __future__ import annotations

from torch import nn

from experiments.networks.pretrained import check
from experiments.settings.training import SegmentationSettings
from imaging.io import command
from imaging.io.config import validate
from segmentation.architectures import build


def main() -> None:
    """Build the network with the weights that the command line names."""
    check("segmentation", "encoder", _network)


def _network(encoder: str, weights: str, image_size: int) -> nn.Module:
    values = {"models": ["m"], "encoder": encoder, "pretrained": weights, "image_size": image_size}
    return build(validate(SegmentationSettings, values, "segmentation", {"image_size": "--image-size"}))


if __name__ == "__main__":
    command.run(main)
