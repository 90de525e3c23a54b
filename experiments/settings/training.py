"""The params sections of the two trained stages, with a docstring under each field."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import Field, model_validator

from experiments.settings.common import TrainingSettings
from imaging.io.config import validate

Architecture = Literal[
    "unet", "unetplusplus", "fpn", "deeplabv3plus", "plain", "unet_2015", "unet_s5", "double_unet"
]
OPTIONS_OF = (
    ("decoder_channels", None, ("unet", "unetplusplus")),
    ("attention", "none", ("unet", "unetplusplus")),
    ("drop_path", 0.0, ("unet", "unetplusplus", "fpn", "deeplabv3plus")),
)
"""Settings of a part that only some architectures have: key, the value without effect, and those architectures."""
"""Architectures that take `decoder_channels` and `attention`."""
LossTerm = Literal[
    "cross_entropy", "focal", "dice", "log_dice", "tversky", "lovasz", "negative_area_dice", "batch_dice"
]


class ClassificationSettings(TrainingSettings):
    """A timm classifier; loss = alpha * focal(gamma) + (1 - alpha) * cross-entropy."""

    section: ClassVar[str] = "classification"
    models: list[str]
    """Names of the ensemble's members; []: no classifier. Then the image's probability is the pooled mask evidence, the mean
    logit of the highest 0.5 % of each network's map, and the segmentation networks see every image."""
    architecture: str = "resnet18"
    """Any timm model name."""
    head: Literal["plain", "localising"] = "plain"
    """`plain`: timm's own pooling and linear layer. `localising`: a logit for each cell of the last map, trained with
    the masks, or boxes where there is no mask, and pooled by log-sum-exp (Wang 2017); learns from fewer images,
    convolutional architectures only."""
    mask_weight: float = Field(default=1.0, ge=0)
    """Weight of the cells' loss; only with head localising."""
    output_stride: Literal[8, 16, 32] = 32
    """Side of a cell in image pixels; only with head localising. Smaller is finer and slower."""
    alpha: float = Field(default=0.3, ge=0, le=1)
    """Share of the focal term."""
    mask_dice: float = Field(default=0.6, gt=0, lt=1)
    """Dice that a submitted mask is assumed to earn on a positive image, in the score of checkpoints and trials;
    see docs/decisions/tuning-objective.md."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout before the last layer."""


class SegmentationSettings(TrainingSettings):
    """An encoder-decoder; loss = alpha * focal(gamma) - log(dice), both per image, or a sum of others."""

    section: ClassVar[str] = "segmentation"
    needs_masks: ClassVar[bool] = True
    models: list[str]
    """Names of the ensemble's members; []: no segmentation, for data without masks. Then the decision is a gate on the
    classifier's probability, and reports say that there are no masks."""
    architecture: Architecture = "unet"
    """segmentation-models-pytorch's Unet, UnetPlusPlus, FPN, DeepLabV3Plus; a small plain U-Net; the U-Net of 2015;
    mmsegmentation's UNet-S5-D16 with FCN head; Double U-Net (Jha 2020)."""
    base_channels: int = Field(default=64, ge=4, le=256)
    """Channels of the first level of plain, unet_2015 and unet_s5; 64 in their sources."""
    classes: Literal[1, 2] = 1
    """Outputs per pixel: one logit, or two of a softmax over background and finding, as in mmsegmentation."""
    prior: float | None = Field(default=0.01, gt=0, lt=1)
    """Every pixel's probability at the start, about the share of the median lesion, so that the first epochs are not spent on
    learning that most pixels are empty (the prior of Lin 2017, section 4.1); null: the architecture's own start."""
    loss: dict[LossTerm, Annotated[float, Field(ge=0)]] | None = None
    """Terms and their weights, such as `{cross_entropy: 3, dice: 1, focal: 4}`; null: `{focal: alpha, log_dice: 1}`."""
    tversky: float = Field(default=0.7, gt=0, lt=1)
    """Weight of missed pixels in the term tversky; wrongly marked ones have 1 minus this (Salehi 2017: .7)."""
    image_head: float = Field(default=0.0, ge=0)
    """Weight in the loss of an image-level head whose probability multiplies the mask in prediction; 0: none."""
    auxiliary: float = Field(default=0.0, ge=0)
    """Weight in the loss of unet_s5's auxiliary head, .4 in its source's base config; 0: none."""
    encoder_from: str | None = None
    """A model of the classification section whose trained encoder of the same fold this one starts from; null: none."""
    encoder: str = "resnet18"
    """An smp encoder name, or `tu-<timm name>`."""
    decoder_channels: list[Annotated[int, Field(ge=1, le=4096)]] | None = Field(
        default=None, min_length=1, max_length=5
    )
    """Channels of the five decoder blocks, deepest first (unet and unetplusplus only); null: smp's own. Fewer than five (unet):
    the map is coarser, with three a quarter of the image's side, and enlarged linearly; [128, 64, 32] takes a third of the
    operations of smp's U-Net EfficientNet-Lite0."""
    attention: Literal["none", "scse"] = "none"
    """Attention in the decoder blocks (unet and unetplusplus only): scSE of Roy 2018."""

    @model_validator(mode="after")
    def _one_loss(self) -> SegmentationSettings:
        if self.loss is not None and not any(weight > 0 for weight in self.loss.values()):
            raise ValueError(
                f"loss {self.loss} has no term with a positive weight; null selects the mixed loss"
            )
        if len({phase.get("image_head", self.image_head) > 0 for phase in self.phases}) > 1:
            raise ValueError(
                "phases with and without image_head, but each phase continues with the network of the one before; "
                "give all of them a weight above 0, or none"
            )
        if self.loss is not None and self.alpha != 0.3:
            raise ValueError(
                f"alpha {self.alpha} has no effect with loss {self.loss}; set the weight of its focal term instead"
            )
        if self.encoder_from is not None and self.pretrained != "none":
            raise ValueError(
                f"encoder_from {self.encoder_from} and pretrained {self.pretrained} exclude each other"
            )
        return self


T = TypeVar("T", bound=TrainingSettings)


def check_decoder(settings: TrainingSettings) -> None:
    """ValueError for settings of a decoder or encoder with an architecture that has no such part.

    Not part of the settings' own validation: networks trained before this check existed may have them, without effect.
    """
    if not isinstance(settings, SegmentationSettings):
        return
    name = settings.architecture
    for key, unset, architectures in OPTIONS_OF:
        if name not in architectures and (value := getattr(settings, key)) != unset:
            raise ValueError(
                f"segmentation.{key} {value} has no effect with architecture {name}; "
                f"set it to {'null' if unset is None else unset}, or use {' or '.join(architectures)}"
            )


def for_model(settings: T, name: str, tuned: dict[str, Any] | None = None) -> T:
    """Settings of one ensemble member: the section, then the tuned values, then the member's own variant."""
    if name not in settings.models:
        raise ValueError(f"model {name!r} is not among models: {', '.join(settings.models)}")
    merged = {**settings.model_dump(), **(tuned or {}), **settings.variants.get(name, {})}
    return validate(type(settings), merged, f"{settings.section}.variants.{name}")


def phases_of(settings: T) -> list[T]:
    """The settings of each training in turn, without `phases` themselves; one when there are none.

    Each phase draws with its own seed: 100 apart, since fold k takes seed + k.
    """
    plain = {**settings.model_dump(), "phases": []}
    return [
        validate(
            type(settings),
            {**plain, "seed": settings.seed + 100 * number, **phase},
            f"{settings.section}.phases.{number}",
        )
        for number, phase in enumerate(settings.phases or [{}])
    ]
