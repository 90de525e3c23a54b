"""Check that pretrained weights fit: `python -m segmentation.pretrained ENCODER WEIGHTS`.

Builds the network as training would and prints source, checksum and normalisation, or the tensors that do not fit.
"""

from __future__ import annotations

import argparse

from experiments.networks.pretrained import described
from experiments.settings.training import SegmentationSettings
from imaging.io import command
from segmentation.architectures import build


def main() -> None:
    """Build the network with the weights that the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m segmentation.pretrained", description="Check that pretrained weights fit."
    )
    parser.add_argument("encoder", help="as segmentation.encoder in params.yaml")
    parser.add_argument("weights", help="as segmentation.pretrained in params.yaml")
    parser.add_argument("--image-size", type=int, default=512, help="side in pixels (default: 512)")
    given = parser.parse_args()
    settings = SegmentationSettings(
        models=["m"], encoder=given.encoder, pretrained=given.weights, image_size=given.image_size
    )
    print(described(build(settings)))


if __name__ == "__main__":
    command.run(main)
