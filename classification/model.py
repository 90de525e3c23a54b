"""The classifier: any timm architecture with a one-channel stem and one logit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
from torch import nn

from experiments.params import ClassificationSettings
from experiments.weights import hub_error, load_facts, restore
from imaging.settings import validate


def build(settings: ClassificationSettings, trained: bool = False) -> nn.Module:
    """A network from float (B, 1, H, W) to logits (B, 1).

    `trained`: the weights come from a file next, so that no pretrained ones are fetched. timm sums the three colour
    filters of a pretrained stem into one. Raises ValueError for an unknown architecture or an unreachable hub.
    """
    pretrained = settings.pretrained == "imagenet" and not trained
    if not timm.is_model(settings.architecture):
        close = (
            ", ".join(timm.list_models(f"*{settings.architecture.split('_')[0]}*")[:5])
            or "timm.list_models() lists all"
        )
        raise ValueError(
            f"classification.architecture {settings.architecture!r} is not a timm model; close to it: {close}"
        )
    try:
        return timm.create_model(
            settings.architecture,
            pretrained=pretrained,
            in_chans=1,
            num_classes=1,
            drop_rate=settings.dropout,
        )
    except Exception as error:  # the hub client's errors have no common base
        if pretrained:
            raise hub_error("classification.pretrained", settings.architecture, error) from error
        raise


def load(path: Path) -> tuple[nn.Module, ClassificationSettings, dict[str, Any]]:
    """A trained classifier for prediction, its settings and its sidecar."""
    facts = load_facts(path)
    settings = validate(ClassificationSettings, facts["settings"], str(path.with_suffix(".json")))
    return restore(build(settings, trained=True), path), settings, facts
