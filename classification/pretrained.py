"""Check that pretrained weights fit: `python -m classification.pretrained ARCHITECTURE WEIGHTS`.

Builds the network as training would and prints source, checksum and normalisation, or the tensors that do not fit.
"""

from __future__ import annotations

from torch import nn

from classification.model import build
from experiments.networks.pretrained import check
from experiments.settings.training import ClassificationSettings
from imaging.io import command
from imaging.io.config import validate


def main() -> None:
    """Build the network with the weights that the command line names."""
    check("classification", "architecture", _network)


def _network(architecture: str, weights: str, image_size: int) -> nn.Module:
    values = {
        "models": ["m"],
        "architecture": architecture,
        "pretrained": weights,
        "image_size": image_size,
    }
    return build(validate(ClassificationSettings, values, "classification", {"image_size": "--image-size"}))


if __name__ == "__main__":
    command.run(main)
