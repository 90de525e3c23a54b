"""Normalise a network's input as its pretrained weights expect; mean and deviation are written into every weights file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

Normalisation = dict[str, float]

# ImageNet's mean and standard deviation, averaged over the three channels: what a stem whose colour filters were summed expects.
NORMALISATION: Normalisation = {"mean": 0.449, "std": 0.226}


def from_channels(mean: Sequence[float], std: Sequence[float]) -> Normalisation:
    """The grey normalisation of weights that were trained with these means and deviations of red, green and blue, in 0..1."""
    return {"mean": round(sum(mean) / len(mean), 6), "std": round(sum(std) / len(std), 6)}


def normalisation_of(net: Any) -> Normalisation:
    """The network's own, as `set_normalisation` left it; else ImageNet's."""
    found: Normalisation = getattr(net, "normalisation", NORMALISATION)
    return found


def set_normalisation(net: nn.Module, normalisation: Normalisation) -> nn.Module:
    """Note how the network's input is normalised. It is not part of the state dict: weights files and their sidecars name
    it."""
    if set(normalisation) != {"mean", "std"} or not normalisation["std"] > 0:
        raise ValueError(f"normalisation {normalisation}: needs a mean and a positive std")
    net.normalisation = normalisation  # type: ignore[assignment]
    return net


def normalise(image: Tensor, net: Any = None) -> Tensor:
    """uint8 (B, 1, H, W) to float32 as `net` expects it, on the image's device."""
    normalisation = normalisation_of(net)
    return (image.float() / 255.0 - normalisation["mean"]) / normalisation["std"]
