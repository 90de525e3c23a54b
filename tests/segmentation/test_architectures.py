"""Every decoder gives one logit a pixel; what cannot be built is refused by name."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from experiments.training_settings import SegmentationSettings
from segmentation.architectures import build

TINY = {"models": ["u"], "encoder": "tu-resnet10t", "image_size": 64}


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"decoder_channels": [16, 8, 8, 8, 4]},
        {"attention": "scse", "decoder_channels": [32, 16, 16, 16, 16]},
        {"architecture": "unetplusplus", "decoder_channels": [16, 8, 8, 8, 4]},
        {"architecture": "fpn"},
        {"architecture": "plain", "base_channels": 4},
        {"architecture": "deeplabv3plus", "encoder": "resnet18"},
    ],
)
def test_one_logit_a_pixel(extra: dict[str, Any]) -> None:
    net = build(SegmentationSettings(**{**TINY, **extra})).eval()
    assert net(torch.zeros(2, 1, 64, 64)).shape == (2, 1, 64, 64)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"image_size": 100}, "image_size 100 is not divisible by the encoder's stride 32; take 96"),
        ({"encoder": "resnet19"}, "encoder 'resnet19' is not an encoder of smp"),
        ({"encoder": "tu-nothing"}, "tu-nothing"),
        (
            {"attention": "scse", "decoder_channels": [16, 16, 16, 16, 8]},
            "scSE squeezes to a sixteenth: .* at least 16",
        ),
        ({"architecture": "fpn", "attention": "scse"}, "fpn has no decoder_attention_type"),
    ],
)
def test_what_cannot_be_built_is_refused(extra: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        build(SegmentationSettings(**{**TINY, **extra}))


def test_plain_unet_counts_its_parameters() -> None:
    """Widths 4 8 16 32 64 64; a layer has 9 in out + 2 out, the head 4 + 1."""
    net = build(SegmentationSettings(**{**TINY, "architecture": "plain", "base_channels": 4}))
    pairs = [
        (1, 4),
        (4, 4),
        (4, 8),
        (8, 8),
        (8, 16),
        (16, 16),
        (16, 32),
        (32, 32),
        (32, 64),
        (64, 64),
        (64, 64),
        (64, 64),
    ]
    pairs += [(128, 64), (64, 64), (96, 32), (32, 32), (48, 16), (16, 16), (24, 8), (8, 8), (12, 4), (4, 4)]
    assert sum(p.numel() for p in net.parameters()) == sum(9 * a * b + 2 * b for a, b in pairs) + 5


def test_a_hub_out_of_reach_names_the_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    said = r"`segmentation\.pretrained: imagenet` asks for .* resnet18.*`segmentation\.pretrained: none`"
    with pytest.raises(ValueError, match=said):
        build(SegmentationSettings(**{**TINY, "encoder": "resnet18", "pretrained": "imagenet"}))
