"""timm classifiers: one logit an image; the localising head."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from classification.model import Localising, build
from experiments.settings.training import ClassificationSettings

TINY = {"models": ["c"], "architecture": "resnet10t", "image_size": 64}


@pytest.mark.parametrize("extra", [{}, {"head": "localising"}, {"head": "localising", "output_stride": 16}])
def test_one_logit_an_image(extra: dict[str, Any]) -> None:
    net = build(ClassificationSettings(**{**TINY, **extra})).eval()
    assert net(torch.zeros(2, 1, 64, 64)).shape == (2, 1)


@pytest.mark.parametrize(("stride", "cells"), [(32, 2), (16, 4), (8, 8)])
def test_the_stride_sets_the_number_of_cells(stride: int, cells: int) -> None:
    net = build(ClassificationSettings(**TINY, head="localising", output_stride=stride)).train()
    logit, found = net(torch.zeros(2, 1, 64, 64))
    assert logit.shape == (2, 1)
    assert found.shape == (2, 1, cells, cells)


def test_pooling_lies_between_mean_and_maximum() -> None:
    net = Localising(nn.Identity(), channels=1).eval()
    nn.init.ones_(net.cell.weight)
    nn.init.zeros_(net.cell.bias)
    cells = torch.tensor([[1.0, -1.0], [0.0, 2.0]]).reshape(1, 1, 2, 2)
    # log((e^5 + e^-5 + e^0 + e^10) / 4) / 5 = 1.72409…
    assert net(cells).item() == pytest.approx(1.724091, abs=1e-5)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"architecture": "resnet19"}, "'resnet19' is not a timm model; close to it"),
        (
            {"architecture": "vit_tiny_patch16_224", "head": "localising", "image_size": 224},
            "needs a map of at least 2 x 2",
        ),
        ({"head": "localising", "image_size": 32}, "at image_size 32 gives"),
    ],
)
def test_what_cannot_be_built_is_refused(extra: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        build(ClassificationSettings(**{**TINY, **extra}))
