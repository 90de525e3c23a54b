"""What a network's input looks like. It is written into every weights file: another one would be answered wrongly."""

from __future__ import annotations

from torch import Tensor

# ImageNet's mean and standard deviation, averaged over its three channels: pretrained one-channel stems expect grey images so.
NORMALISATION = {"mean": 0.449, "std": 0.226}


def normalise(image: Tensor) -> Tensor:
    """uint8 (B, 1, H, W) to float32 of about zero mean and unit variance, on the image's device."""
    return (image.float() / 255.0 - NORMALISATION["mean"]) / NORMALISATION["std"]
