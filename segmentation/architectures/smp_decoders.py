"""The decoders of segmentation-models-pytorch on any smp or timm encoder."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import segmentation_models_pytorch as smp
from segmentation_models_pytorch.base import SegmentationHead
from segmentation_models_pytorch.base.initialization import initialize_decoder, initialize_head
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn

from experiments.networks.pretrained import is_vit
from experiments.networks.weights import hub_error
from experiments.settings.training import SegmentationSettings
from segmentation.architectures.segmenter import Body
from segmentation.architectures.vit_encoder import ViTEncoder

DECODERS: dict[str, Any] = {
    "unet": smp.Unet,
    "unetplusplus": smp.UnetPlusPlus,
    "fpn": smp.FPN,
    "deeplabv3plus": smp.DeepLabV3Plus,
}
BLOCKS = 5
"""Blocks of a U-Net's decoder, one for each halving of the encoder."""


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


def decoded(settings: SegmentationSettings, wish: str) -> Decoded:
    """The body that the settings name; ValueError for an unknown encoder, or weights that the hub does not have.

    wish: `none`, `imagenet` or a timm tag.
    """
    blocks = _blocks(settings)
    if settings.encoder.startswith("tu-") and is_vit(settings.encoder[3:]):
        return _with_vit(settings, wish)
    # smp warns of a name for timm's weights, which the encoder's own name tells
    encoder_weights = None if wish == "none" else settings.encoder.startswith("tu-") or "imagenet"
    encoder, extras = _tagged(settings.encoder, wish), {**_extras(settings), **_drop_path(settings)}
    make = _coarse if blocks < BLOCKS else DECODERS[settings.architecture]
    try:
        net = make(
            encoder,
            encoder_weights=encoder_weights,
            in_channels=1,
            classes=settings.classes,
            **extras,
        )
    except KeyError as error:
        raise ValueError(
            f"segmentation.encoder {settings.encoder!r} is not an smp encoder; for one of timm's write `tu-<timm name>`"
        ) from error
    except Exception as error:  # the hub client's errors have no common base
        if encoder_weights:
            raise hub_error("segmentation.pretrained", wish, settings.encoder, error) from error
        raise ValueError(
            f"segmentation: {settings.architecture} with encoder {settings.encoder!r} cannot be built: {error}"
        ) from error
    return Decoded(net)


def _coarse(
    encoder: str,
    encoder_weights: str | bool | None,
    in_channels: int,
    classes: int,
    decoder_channels: tuple[int, ...],
    decoder_attention_type: str | None = None,
    **extras: Any,
) -> SimpleNamespace:
    """A U-Net whose decoder ends early, with fewer than five blocks: n of them give a map at 1/2^(5-n) of the image's side,
    whose logits are enlarged linearly."""
    body = get_encoder(encoder, in_channels, depth=BLOCKS, weights=encoder_weights, **extras)
    count, last = len(decoder_channels), decoder_channels[-1]
    decoder = UnetDecoder(
        body.out_channels, decoder_channels, n_blocks=count, attention_type=decoder_attention_type
    )
    initialize_decoder(decoder)
    head = nn.Sequential(
        nn.Conv2d(last, classes, 3, padding=1),
        nn.Upsample(scale_factor=2 ** (BLOCKS - count), mode="bilinear", align_corners=False),
    )
    initialize_head(head)
    return SimpleNamespace(encoder=body, decoder=decoder, segmentation_head=head)


def _blocks(settings: SegmentationSettings) -> int:
    """Blocks of the decoder; ValueError for fewer than five in a decoder other than the U-Net's, or on a vision transformer."""
    count = len(settings.decoder_channels or range(BLOCKS))
    if count < BLOCKS and (settings.architecture != "unet" or is_vit(settings.encoder.removeprefix("tu-"))):
        raise ValueError(
            f"segmentation.decoder_channels {settings.decoder_channels}: fewer than five need architecture unet with a "
            f"convolutional encoder, not {settings.architecture} with {settings.encoder}"
        )
    return count


def _tagged(encoder: str, wish: str) -> str:
    """timm's name with the tag of the weights; smp's own encoders have only ImageNet weights."""
    if wish in ("none", "imagenet"):
        return encoder
    if not encoder.startswith("tu-"):
        raise ValueError(
            f"segmentation.pretrained {wish}: a timm tag needs an encoder `tu-<timm name>`, not {encoder}"
        )
    return f"{encoder}.{wish}"


def _with_vit(settings: SegmentationSettings, wish: str) -> Decoded:
    """smp's U-Net decoder on a vision transformer."""
    if settings.architecture != "unet":
        raise ValueError(
            f"segmentation.encoder {settings.encoder}: a vision transformer needs `architecture: unet`"
        )
    extras = _extras(settings)
    name = _tagged(settings.encoder, wish).removeprefix("tu-")
    drop_path = {"drop_path_rate": settings.drop_path} if settings.drop_path else {}
    try:
        encoder = ViTEncoder(name, settings.image_size, pretrained=wish != "none", **drop_path)
    except Exception as error:  # the hub client's errors have no common base
        if wish != "none":
            raise hub_error("segmentation.pretrained", wish, name, error) from error
        raise ValueError(f"segmentation.encoder {settings.encoder!r} cannot be built: {error}") from error
    channels = extras.get("decoder_channels", (256, 128, 64, 32, 16))
    decoder = UnetDecoder(encoder.out_channels, channels, attention_type=extras.get("decoder_attention_type"))
    head = SegmentationHead(channels[-1], settings.classes, kernel_size=3)
    return Decoded(SimpleNamespace(encoder=encoder, decoder=decoder, segmentation_head=head))


def _drop_path(settings: SegmentationSettings) -> dict[str, float]:
    if settings.drop_path and not settings.encoder.startswith("tu-"):
        raise ValueError(
            f"segmentation.drop_path {settings.drop_path}: only `tu-<timm name>` has it, not {settings.encoder}"
        )
    return {"drop_path_rate": settings.drop_path} if settings.drop_path else {}


def _extras(settings: SegmentationSettings) -> dict[str, Any]:
    """Options that only the U-Nets take; `check_decoder` refuses them for others."""
    extras: dict[str, Any] = {}
    if settings.decoder_channels is not None:
        extras["decoder_channels"] = tuple(settings.decoder_channels)
    if settings.attention != "none":
        extras["decoder_attention_type"] = settings.attention
    if settings.attention == "scse" and min(settings.decoder_channels or [16]) < 16:
        raise ValueError(
            "segmentation.attention scse with decoder_channels "
            f"{settings.decoder_channels}: scSE squeezes to a sixteenth, so all must be at least 16"
        )
    return extras
