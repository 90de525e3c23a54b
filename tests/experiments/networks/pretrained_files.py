"""Networks, and files of random weights with the names and shapes of real ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import classification.model
import segmentation.architectures
from experiments.settings.training import ClassificationSettings, SegmentationSettings

State = dict[str, Tensor]


def classifier(architecture: str, source: Path | str = "none", **extra: Any) -> nn.Module:
    return classification.model.build(
        ClassificationSettings(
            models=["c"], architecture=architecture, pretrained=str(source), **{"image_size": 64, **extra}
        )
    )


def segmenter(encoder: str, source: Path | str = "none", **extra: Any) -> nn.Module:
    return segmentation.architectures.build(
        SegmentationSettings(
            models=["u"], encoder=encoder, pretrained=str(source), **{"image_size": 64, **extra}
        )
    )


def random(shapes: State) -> State:
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.rand(value.shape, generator=generator) if value.is_floating_point() else value.clone()
        for name, value in shapes.items()
    }


def saved(folder: Path, state: State, **config: Any) -> Path:
    path = folder / "weights" / "model.safetensors"
    path.parent.mkdir()
    save_file({name: value.contiguous() for name, value in state.items()}, path)
    for name, facts in config.items():
        (path.parent / f"{name}.json").write_text(json.dumps(facts))
    return path


def of_timm(name: str, **extra: Any) -> State:
    return random(timm.create_model(name, num_classes=1000, **extra).state_dict())
