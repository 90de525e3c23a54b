"""Pictures, outlines and heat maps, by hand."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ensemble.app import saliency
from ensemble.app.encoding import MAX_SIDE, displayed, outline
from ensemble.app.upload import Declined


def decoded(picture: str) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(b64decode(picture), np.uint8), cv2.IMREAD_UNCHANGED)


def test_sixteen_bits_survive() -> None:
    pixels = np.array([[0, 1, 256], [4095, 40000, 65535]], np.uint16)
    made = displayed(pixels)
    bgr = decoded(made["picture"]).astype(np.uint16)
    assert made["depth"] == 16
    assert np.array_equal(bgr[..., 2] << 8 | bgr[..., 1], pixels)


def test_eight_bits_as_they_are_and_large_ones_smaller() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.array_equal(decoded(displayed(pixels)["picture"]), pixels)
    assert decoded(displayed(np.zeros((MAX_SIDE * 2, MAX_SIDE), np.uint8))["picture"]).shape == (
        MAX_SIDE,
        MAX_SIDE // 2,
    )


def test_outline_by_hand() -> None:
    mask = np.zeros((9, 9), bool)
    assert outline(mask) == ""
    mask[2:6, 3:8] = True
    path = outline(mask)
    points = np.array([point.split() for point in path[1:-1].split("L")], float)
    assert path[0] + path[-1] == "MZ"
    assert points.min(axis=0) == pytest.approx([3, 2], abs=0.5)  # x, y, from the pixels' outer edges
    assert points.max(axis=0) == pytest.approx([8, 6], abs=0.5)
    mask[3:5, 4:7] = False
    assert outline(mask).count("M") == 2  # the hole has an outline of its own


class Corner(nn.Module):
    """A classifier whose logit is the brightness of what its convolution shows in the upper left quarter."""

    def __init__(self) -> None:
        super().__init__()
        self.show = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.ones_(self.show.weight)

    def forward(self, image: Tensor) -> Tensor:
        return self.show(image)[..., :8, :8].mean(dim=(1, 2, 3))[:, None]


class Tokens(nn.Module):
    """As a transformer: patches, then tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.mix, self.head = nn.Conv2d(1, 4, 4, 4), nn.Linear(4, 4), nn.Linear(4, 1)

    def forward(self, image: Tensor) -> Any:
        return self.head(self.mix(self.patch(image).flatten(2).transpose(1, 2)).mean(1))


def test_grad_cam_is_bright_where_the_map_is() -> None:
    image = torch.zeros(1, 1, 16, 16)
    image[..., 2:5, 10:14] = 1
    cam = saliency.grad_cam(Corner(), image)
    assert cam.shape == (16, 16)
    assert (cam[2:5, 10:14].min(), cam[8:].max()) == (pytest.approx(1, abs=1e-3), 0)


def test_tokens_have_no_grad_cam() -> None:
    with pytest.raises(Declined, match="convolutional"):
        saliency.grad_cam(Tokens().eval(), torch.zeros(1, 1, 16, 16))


def test_no_heat_is_transparent() -> None:
    picture = saliency.coloured(np.array([[0.0, 0.25, 1.0]], np.float32))
    assert picture.shape == (1, 3, 4)
    assert picture[0, :, 3].tolist() == [0, 128, 255]
