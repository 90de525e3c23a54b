"""A segmentation network begins with a classifier's encoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from classification.model import build as build_classifier
from experiments.networks import weights
from experiments.settings.training import ClassificationSettings, SegmentationSettings
from segmentation import encoder_transfer
from segmentation.architectures import build, encoder_weights


def classifier(**extra: Any) -> torch.nn.Module:
    return build_classifier(
        ClassificationSettings(**{"models": ["c"], "architecture": "resnet10t", "image_size": 64, **extra})
    )


def segmenter(**extra: Any) -> torch.nn.Module:
    return build(SegmentationSettings(**{"models": ["u"], "image_size": 64, **extra}))


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ({}, {"encoder": "tu-resnet10t"}),
        ({"head": "localising", "output_stride": 16}, {"encoder": "tu-resnet10t", "architecture": "fpn"}),
        ({"architecture": "resnet18"}, {"encoder": "resnet18"}),
        ({"architecture": "convnext_atto"}, {"encoder": "tu-convnext_atto"}),
    ],
)
def test_all_of_the_encoder_is_the_classifiers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: dict[str, Any], target: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    state = {
        name: torch.rand_like(v) if v.is_floating_point() else v
        for name, v in classifier(**source).state_dict().items()
    }
    weights.save(weights.path_of("classification", "c", 1), state, {})
    settings = SegmentationSettings(models=["u", "v"], variants={"v": {"encoder_from": "c"}})
    encoder_weights.PATH.parent.mkdir(parents=True)
    encoder_weights.PATH.write_text(json.dumps(encoder_transfer.chosen(settings, [1])))
    net = segmenter(**target)
    assert (
        encoder_weights.origin("c", 1)
        == weights.load_facts(weights.path_of("classification", "c", 1))["weights_sha256"]
    )
    assert encoder_weights.origin(None, 1) is None
    encoder_weights.transfer(net, "c", 1)
    handed = [value for value in net.encoder.state_dict().values() if value.is_floating_point()]
    assert all(
        any(value.shape == other.shape and torch.equal(value, other) for other in state.values())
        for value in handed
    )
    weights.save(weights.path_of("classification", "c", 1), {**state, "more": torch.ones(1)}, {})
    with pytest.raises(ValueError, match="run `dvc repro`"):
        encoder_weights.transfer(net, "c", 1)


def test_another_architecture_is_refused() -> None:
    with pytest.raises(ValueError, match=r"here does not fit .* use encoder `tu-"):
        encoder_weights.fitting(
            classifier().state_dict(), segmenter(encoder="resnet18").encoder.state_dict(), "here"
        )


def test_nothing_is_chosen_without_a_wish() -> None:
    assert encoder_transfer.chosen(SegmentationSettings(models=["u"]), [0, 1]) == {}
