"""Check that pretrained weights fit: `python -m classification.pretrained ARCHITECTURE WEIGHTS`.

Builds the network as training would and prints source, checksum and normalisation, or the tensors that do not fit.
"""

from __future__ import annotations

import argparse

from classification.model import build
from experiments.networks.pretrained import described
from experiments.settings.training import ClassificationSettings
from imaging.io import command


def main() -> None:
    """Build the network with the weights that the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m classification.pretrained", description="Check that pretrained weights fit."
    )
    parser.add_argument("architecture", help="as classification.architecture in params.yaml")
    parser.add_argument("weights", help="as classification.pretrained in params.yaml")
    parser.add_argument("--image-size", type=int, default=512, help="side in pixels (default: 512)")
    given = parser.parse_args()
    settings = ClassificationSettings(
        models=["m"], architecture=given.architecture, pretrained=given.weights, image_size=given.image_size
    )
    print(described(build(settings)))


if __name__ == "__main__":
    command.run(main)
