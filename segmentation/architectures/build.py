"""Build and load segmentation networks by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from segmentation_models_pytorch.encoders import get_preprocessing_params
from torch import nn

from experiments.networks import pretrained
from experiments.networks.normalisation import Normalisation, from_channels, set_normalisation
from experiments.networks.weights import hub_error, load_facts, restore
from experiments.settings.training import SegmentationSettings, check_decoder
from imaging.io.config import validate
from segmentation.architectures.double_unet import DoubleUNet
from segmentation.architectures.segmenter import Body, Segmenter
from segmentation.architectures.small_unet import PlainUNet
from segmentation.architectures.smp_decoders import DECODERS, decoded
from segmentation.architectures.unet_2015 import UNet2015
from segmentation.architectures.unet_s5 import UNetS5

if TYPE_CHECKING:
    from experiments.monitoring.mlflow_model import Served

SETTING = "segmentation.pretrained"
STRIDE = 32  # five halvings: the encoders' coarsest map


def build(settings: SegmentationSettings, trained: bool = False) -> nn.Module:
    """The network that the settings name: see Segmenter.

    `trained`: weights of a trained file will be loaded next, so no pretrained ones are fetched. Raises ValueError for an
    unknown encoder, an image size that the encoder cannot halve five times, an unreachable hub, or weights that do not fit.
    """
    if settings.image_size % STRIDE:
        nearest = round(settings.image_size / STRIDE) * STRIDE
        raise ValueError(
            f"segmentation.image_size {settings.image_size} is not divisible by the encoder's stride {STRIDE}; use {nearest}"
        )
    if not trained:
        check_decoder(settings)
    wish = "none" if trained else settings.pretrained
    fetched = "none" if pretrained.is_file(wish) else wish
    net = Segmenter(_body(settings, fetched), settings.image_head > 0, settings.prior)
    if fetched != "none":
        mean_std = preprocessing(settings, fetched)
        return pretrained.note(set_normalisation(net, mean_std), f"{settings.encoder} {fetched}")
    if wish != "none":
        return pretrained.start(net, net.encoder, wish, SETTING)
    return net


def preprocessing(settings: SegmentationSettings, wish: str) -> Normalisation:
    """The normalisation of weights from the hub."""
    name = "vgg19" if settings.architecture == "double_unet" else settings.encoder
    tagged = name if wish == "imagenet" else f"{name}.{wish}"
    facts = get_preprocessing_params(tagged)
    return from_channels(facts["mean"], facts["std"])


def _body(settings: SegmentationSettings, wish: str) -> Body:
    name = settings.architecture
    if settings.auxiliary and name != "unet_s5":
        raise ValueError(
            f"segmentation.auxiliary {settings.auxiliary}: {name} has no auxiliary head; set it to 0"
        )
    if name in DECODERS:
        return decoded(settings, wish)
    if name == "double_unet":
        if wish not in ("none", "imagenet"):
            raise ValueError(
                f"{SETTING} {wish}: double_unet's VGG-19 has no weights of this name; set it to imagenet or none"
            )
        try:
            return DoubleUNet(settings.classes, None if wish == "none" else "imagenet")
        except Exception as error:  # the hub client's errors have no common base
            raise hub_error(SETTING, wish, "vgg19", error) from error
    if wish != "none":
        raise ValueError(f"{SETTING} {wish}: there are no weights for {name}; set it to none")
    if name == "unet_s5":
        return UNetS5(settings.base_channels, settings.classes, settings.auxiliary)
    return {"plain": PlainUNet, "unet_2015": UNet2015}[name](settings.base_channels, settings.classes)


def load(path: Path) -> tuple[nn.Module, SegmentationSettings, dict[str, Any]]:
    """A trained network for prediction, its settings and its sidecar."""
    facts = load_facts(path)
    settings = validate(SegmentationSettings, facts["settings"], str(path.with_suffix(".json")))
    return restore(build(settings, trained=True), path), settings, facts


def _load_pyfunc(folder: str) -> Served:
    # Imported here: MLflow takes a second to import, and predictions do not need it.
    from experiments.monitoring.mlflow_model import Served, weights_in

    net, settings, _ = load(weights_in(folder))
    return Served(net, settings)
