"""The classifier: any timm architecture with a one-channel stem and one logit."""

from __future__ import annotations

import math
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import timm
import torch
from torch import Tensor, nn

from experiments.networks import pretrained
from experiments.networks.normalisation import from_channels, set_normalisation
from experiments.networks.pretrained import is_vit
from experiments.networks.weights import hub_error, load_facts, restore
from experiments.settings.training import ClassificationSettings
from imaging.io.config import validate

if TYPE_CHECKING:
    from experiments.monitoring.mlflow_model import Served

# Sharpness r of the log-sum-exp pooling, between the mean (0) and the maximum (infinity); Wang 2017 (ChestX-ray8) found
# values around 5 to 10 best for chest radiographs.
POOLING_SHARPNESS = 5.0


class Localising(nn.Module):
    """A timm backbone whose last map gives a logit for each cell; the image's logit is their log-sum-exp pooling.

    Trained with the masks (classification.losses.where), it learns from fewer images than with a mean over the map.
    Pooling: Pinheiro and Collobert 2015, Wang 2017.
    """

    def __init__(self, backbone: nn.Module, channels: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.cell = nn.Conv2d(channels, 1, kernel_size=1)
        # An image's logit is a stretched and shifted pooling: how many cells must be positive is learned.
        self.scale, self.shift = nn.Parameter(torch.ones(())), nn.Parameter(torch.zeros(()))
        assert self.cell.bias is not None
        nn.init.constant_(self.cell.bias, -2.0)  # most cells are empty: start near their share

    def where(self, image: Tensor) -> Tensor:
        """The cells' logits (B, 1, h, w)."""
        return self.cell(self.backbone(image))

    @property
    def encoder(self) -> nn.Module:
        """The part that `freeze_encoder` freezes."""
        return self.backbone

    def forward(self, image: Tensor) -> Any:
        """float (B, 1, H, W) to logits (B, 1); in training mode to (logits, cells' logits (B, 1, h, w))."""
        cells = self.where(image)
        flat = POOLING_SHARPNESS * cells.flatten(1)
        pooled = (torch.logsumexp(flat, dim=1, keepdim=True) - math.log(flat.shape[1])) / POOLING_SHARPNESS
        logit = self.scale * pooled + self.shift
        return (logit, cells) if self.training else logit


def build(settings: ClassificationSettings, trained: bool = False) -> nn.Module:
    """A network from float (B, 1, H, W) to logits (B, 1).

    `trained`: weights of a trained file will be loaded next, so no pretrained ones are fetched. timm sums the three colour
    filters of a pretrained stem into one. Raises ValueError for an unknown architecture, an unreachable hub, or a file of
    weights that does not fit.
    """
    name, wish = settings.architecture, "none" if trained else settings.pretrained
    if not timm.is_model(name):
        close = ", ".join(get_close_matches(name, timm.list_models(), n=5))
        fix = f"close to it: {close}" if close else "timm.list_models() lists all"
        raise ValueError(f"classification.architecture {name!r} is not a timm model; {fix}")
    head: dict[str, Any] = {"num_classes": 1}
    if settings.head == "localising":
        head = {"num_classes": 0, "global_pool": ""}
        head |= {} if settings.output_stride == 32 else {"output_stride": settings.output_stride}
    head |= {"drop_path_rate": settings.drop_path} if settings.drop_path else {}
    head |= {"img_size": settings.image_size, "dynamic_img_size": True} if is_vit(name) else {}
    fetched = wish != "none" and not pretrained.is_file(wish)
    whole = name if not fetched or wish == "imagenet" else f"{name}.{wish}"
    try:
        net: Any = timm.create_model(
            whole, pretrained=fetched, in_chans=1, drop_rate=settings.dropout, **head
        )
    except Exception as error:  # the hub client's errors have no common base
        if fetched:
            raise hub_error("classification.pretrained", wish, name, error) from error
        raise ValueError(f"classification: {name} with {head} cannot be built: {error}") from error
    if fetched:
        pretrained.note(
            set_normalisation(net, from_channels(net.pretrained_cfg["mean"], net.pretrained_cfg["std"])),
            whole,
        )
    made = net
    if settings.head == "localising":
        made = pretrained.pass_on(net, Localising(net, _map_channels(net, settings)))
    if wish != "none" and not fetched:
        pretrained.start(made, net, wish, "classification.pretrained")
    return made


def load(path: Path) -> tuple[nn.Module, ClassificationSettings, dict[str, Any]]:
    """A trained classifier for prediction, its settings and its sidecar."""
    facts = load_facts(path)
    settings = validate(ClassificationSettings, facts["settings"], str(path.with_suffix(".json")))
    return restore(build(settings, trained=True), path), settings, facts


@torch.no_grad()
def _map_channels(net: nn.Module, settings: ClassificationSettings) -> int:
    """Channels of the last map; a ValueError when the architecture outputs tokens instead of a (B, C, h, w) map."""
    side = settings.image_size
    shape = net.eval()(torch.zeros(1, 1, side, side)).shape
    net.train()
    if len(shape) != 4 or shape[2] != shape[3] or shape[2] < 2:
        raise ValueError(
            f"classification.head localising needs a map of at least 2 x 2 cells, but {settings.architecture} at "
            f"image_size {side} gives {tuple(shape)}; use a convolutional architecture, larger images, or head: plain"
        )
    return shape[1]


def _load_pyfunc(folder: str) -> Served:
    # Imported here: MLflow takes a second to import, and predictions do not need it.
    from experiments.monitoring.mlflow_model import Served, weights_in

    net, settings, _ = load(weights_in(folder))
    return Served(net, settings)
