"""Networks by name: the plain U-Net, and the decoders of segmentation-models-pytorch on any smp or timm encoder."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
from torch import nn

from experiments.training_settings import SegmentationSettings
from experiments.weights import hub_error, load_facts, restore
from imaging.settings import validate
from segmentation.architectures.plain import PlainUNet

STRIDE = 32  # five halvings: the encoders' coarsest map
# Every pixel's probability at the start, about the share of the median lesion: otherwise the first epochs are spent on
# learning that most pixels are empty (the prior of Lin 2017, section 4.1).
PRIOR = 0.01

_DECODERS: dict[str, Any] = {
    "unet": smp.Unet,
    "unetplusplus": smp.UnetPlusPlus,
    "fpn": smp.FPN,
    "deeplabv3plus": smp.DeepLabV3Plus,
}


def build(settings: SegmentationSettings, trained: bool = False) -> nn.Module:
    """The network that the settings name, one input channel, one logit a pixel, at the input's size.

    `trained`: the weights come from a file next, so that no pretrained ones are fetched. Raises ValueError for an unknown
    encoder, an image size that the encoder cannot halve five times, or an unreachable hub.
    """
    if settings.image_size % STRIDE:
        nearest = round(settings.image_size / STRIDE) * STRIDE
        raise ValueError(
            f"segmentation.image_size {settings.image_size} is not divisible by the encoder's stride {STRIDE}; take {nearest}"
        )
    net: Any = _plain(settings) if settings.architecture == "plain" else _smp(settings, trained)
    head: Any = net.head if isinstance(net, PlainUNet) else net.segmentation_head[0]
    nn.init.constant_(head.bias, math.log(PRIOR / (1 - PRIOR)))
    return net


def _smp(settings: SegmentationSettings, trained: bool) -> nn.Module:
    pretrained = settings.pretrained == "imagenet" and not trained
    try:
        return _DECODERS[settings.architecture](
            settings.encoder,
            encoder_weights="imagenet" if pretrained else None,
            in_channels=1,
            classes=1,
            **_extras(settings),
        )
    except KeyError as error:
        raise ValueError(
            f"segmentation.encoder {settings.encoder!r} is not an encoder of smp; or write `tu-<timm name>`"
        ) from error
    except Exception as error:  # the hub client's errors have no common base
        if pretrained:
            raise hub_error("segmentation.pretrained", settings.encoder, error) from error
        raise ValueError(
            f"segmentation: {settings.architecture} with encoder {settings.encoder!r} cannot be built: {error}"
        ) from error


def _plain(settings: SegmentationSettings) -> nn.Module:
    if settings.pretrained != "none":
        raise ValueError(
            "segmentation.pretrained imagenet: there are no weights for the plain U-Net; set it to none"
        )
    return PlainUNet(settings.base_channels)


def _extras(settings: SegmentationSettings) -> dict[str, Any]:
    """What only the U-Nets take; asking another decoder for it is an error, not silence."""
    extras: dict[str, Any] = {}
    if settings.decoder_channels is not None:
        extras["decoder_channels"] = tuple(settings.decoder_channels)
    if settings.attention != "none":
        extras["decoder_attention_type"] = settings.attention
    if settings.attention == "scse" and min(settings.decoder_channels or [16]) < 16:
        raise ValueError(
            "segmentation.attention scse with decoder_channels "
            f"{settings.decoder_channels}: scSE squeezes to a sixteenth: all must be at least 16"
        )
    if extras and settings.architecture not in ("unet", "unetplusplus"):
        raise ValueError(
            f"segmentation: {settings.architecture} has no {', '.join(extras)}; only unet and unetplusplus do"
        )
    return extras


def load(path: Path) -> tuple[nn.Module, SegmentationSettings, dict[str, Any]]:
    """A trained network for prediction, its settings and its sidecar."""
    facts = load_facts(path)
    settings = validate(SegmentationSettings, facts["settings"], str(path.with_suffix(".json")))
    return restore(build(settings, trained=True), path), settings, facts
