"""Networks by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from experiments.monitoring.mlflow_model import Served, weights_in
from experiments.networks.weights import hub_error, load_facts, restore
from experiments.settings.training import SegmentationSettings
from imaging.io.config import validate
from segmentation.architectures.double_unet import DoubleUNet
from segmentation.architectures.segmenter import Body, Segmenter
from segmentation.architectures.small_unet import PlainUNet
from segmentation.architectures.smp_decoders import DECODERS, decoded
from segmentation.architectures.unet_2015 import UNet2015
from segmentation.architectures.unet_s5 import UNetS5

STRIDE = 32  # five halvings: the encoders' coarsest map


def build(settings: SegmentationSettings, trained: bool = False) -> nn.Module:
    """The network that the settings name: see Segmenter.

    `trained`: the weights come from a file next, so that no pretrained ones are fetched. Raises ValueError for an unknown
    encoder, an image size that the encoder cannot halve five times, or an unreachable hub.
    """
    if settings.image_size % STRIDE:
        nearest = round(settings.image_size / STRIDE) * STRIDE
        raise ValueError(
            f"segmentation.image_size {settings.image_size} is not divisible by the encoder's stride {STRIDE}; take {nearest}"
        )
    weights = "imagenet" if settings.pretrained == "imagenet" and not trained else None
    return Segmenter(_body(settings, weights), settings.image_head > 0, settings.prior)


def _body(settings: SegmentationSettings, encoder_weights: str | None) -> Body:
    name = settings.architecture
    if settings.auxiliary and name != "unet_s5":
        raise ValueError(
            f"segmentation.auxiliary {settings.auxiliary}: {name} has no auxiliary head; set it to 0"
        )
    if name in DECODERS:
        return decoded(settings, encoder_weights)
    if name == "double_unet":
        try:
            return DoubleUNet(settings.classes, encoder_weights)
        except Exception as error:  # the hub client's errors have no common base
            raise hub_error("segmentation.pretrained", "vgg19", error) from error
    if encoder_weights:
        raise ValueError(f"segmentation.pretrained imagenet: there are no weights for {name}; set it to none")
    if name == "unet_s5":
        return UNetS5(settings.base_channels, settings.classes, settings.auxiliary)
    return {"plain": PlainUNet, "unet_2015": UNet2015}[name](settings.base_channels, settings.classes)


def load(path: Path) -> tuple[nn.Module, SegmentationSettings, dict[str, Any]]:
    """A trained network for prediction, its settings and its sidecar."""
    facts = load_facts(path)
    settings = validate(SegmentationSettings, facts["settings"], str(path.with_suffix(".json")))
    return restore(build(settings, trained=True), path), settings, facts


def _load_pyfunc(folder: str) -> Served:
    net, settings, _ = load(weights_in(folder))
    return Served(net, settings)
