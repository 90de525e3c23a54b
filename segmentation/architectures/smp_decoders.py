"""The decoders of segmentation-models-pytorch on any smp or timm encoder."""

from __future__ import annotations

from typing import Any

import segmentation_models_pytorch as smp
from torch import Tensor

from experiments.networks.weights import hub_error
from experiments.settings.training import SegmentationSettings
from segmentation.architectures.segmenter import Body

DECODERS: dict[str, Any] = {
    "unet": smp.Unet,
    "unetplusplus": smp.UnetPlusPlus,
    "fpn": smp.FPN,
    "deeplabv3plus": smp.DeepLabV3Plus,
}


class Decoded(Body):
    """An smp network as segmenter.Body."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.encoder, self.decoder, self.head = net.encoder, net.decoder, net.segmentation_head
        self.heads, self.deepest = [self.head[0]], net.encoder.out_channels[-1]

    def forward(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        """See segmenter.Body."""
        features = self.encoder(image)
        return [self.head(self.decoder(features))], features[-1]


def decoded(settings: SegmentationSettings, encoder_weights: str | None) -> Decoded:
    """The body that the settings name; ValueError for an unknown encoder, or one that the hub does not give."""
    try:
        net = DECODERS[settings.architecture](
            settings.encoder,
            encoder_weights=encoder_weights,
            in_channels=1,
            classes=settings.classes,
            **_extras(settings),
        )
    except KeyError as error:
        raise ValueError(
            f"segmentation.encoder {settings.encoder!r} is not an encoder of smp; or write `tu-<timm name>`"
        ) from error
    except Exception as error:  # the hub client's errors have no common base
        if encoder_weights:
            raise hub_error("segmentation.pretrained", settings.encoder, error) from error
        raise ValueError(
            f"segmentation: {settings.architecture} with encoder {settings.encoder!r} cannot be built: {error}"
        ) from error
    return Decoded(net)


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
