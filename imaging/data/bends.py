"""Elastic, grid and optical distortion of whole batches on the device: where each pixel of the new image is taken from.

Formulas and ranges are those of the first place's list as albumentations 2.0.8 computes them (imaging/data/augment.py), with
mirrored borders (reflect 101). An elastic distortion is cut from one fixed field at a random place, as the noise is: a separate
field for each image would cost more than the training step.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample

ALPHA, SIGMA = 120.0, 6.0
"""Elastic distortion: scale and standard deviation of the blur, both in pixels."""
STEPS, STRETCH = 5, 0.3
"""Grid distortion: cells per side, and the largest relative change of a cell's width."""
OPTICAL = 2.0
"""Largest coefficient of the optical distortion."""
KINDS = 3


def draw(
    random: np.random.Generator, side: int, kind: int | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(4,): optical coefficient, weight of the elastic field, its top and left; and (2, side): columns and rows of the grid.

    kind: 0 elastic, 1 grid, 2 optical; None: no distortion.
    """
    numbers, axes = np.zeros(4, np.float32), np.tile(np.arange(side, dtype=np.float32), (2, 1))
    if kind == 0:
        numbers[1:] = random.choice((-1.0, 1.0)), *random.integers(side, size=2)
    if kind == 1:
        axes = np.stack([axis(random.uniform(1 - STRETCH, 1 + STRETCH, STEPS + 1), side) for _ in range(2)])
    if kind == 2:
        numbers[0] = random.uniform(-OPTICAL, OPTICAL)
    return numbers, axes


def axis(widths: NDArray[np.float64], side: int) -> NDArray[np.float32]:
    """(side,): where each column comes from, when cells of equal width get these relative widths; all stay inside."""
    cell = side // STEPS
    last = side - STEPS * cell  # a side that is no multiple of the cells leaves a small one
    widths = np.append(widths[:STEPS], widths[STEPS] * last / cell)
    widths = widths * side / cell / widths.sum()
    found, start = np.zeros(side, np.float32), 0.0
    for number, width in enumerate(widths):
        end = start + cell * width
        columns = slice(number * cell, min((number + 1) * cell, side))
        found[columns] = np.linspace(start, end, columns.stop - columns.start)
        start = end
    return found


def bent(places: Tensor, numbers: Tensor, axes: Tensor) -> Tensor:
    """Where the pixels at `places` (B, H, W, 2; x, y in pixels) are taken from after the distortions: the same shape.

    numbers (B, 4), axes (B, 2, S): as drawn.
    """
    side = axes.shape[-1]
    places = mirrored(places, side)
    places = _on_grid(places, axes)
    places = _optical(places, numbers[:, 0], side)
    return mirrored(places + _elastic(places, numbers[:, 1:], side), side)


def mirrored(places: Tensor, side: int) -> Tensor:
    """Coordinates beyond the borders, mirrored at the outermost pixels."""
    last = side - 1
    return last - (places.remainder(2 * last) - last).abs()


def _on_grid(places: Tensor, axes: Tensor) -> Tensor:
    """Look columns and rows up in their axes, with linear interpolation between pixels."""
    batch, side = len(places), axes.shape[-1]
    flat = places.flatten(1, 2).transpose(1, 2)  # (B, 2, H W)
    low = flat.floor().clamp(0, side - 2)
    index, share = low.long(), flat - low
    found = torch.lerp(axes.gather(2, index), axes.gather(2, index + 1), share)
    return found.transpose(1, 2).reshape(batch, *places.shape[1:])


def _optical(places: Tensor, coefficient: Tensor, side: int) -> Tensor:
    """Brown's radial distortion about the centre with two equal coefficients; the focal length is the side.

    Without the half-pixel shift of albumentations' map, which defines the centre in two ways.
    """
    middle = (side - 1) / 2
    off = (places - middle) / side
    square = off.square().sum(-1, keepdim=True)
    k = coefficient.view(-1, 1, 1, 1)
    return off * (1 + k * square + k * square.square()) * side + middle


def _elastic(places: Tensor, numbers: Tensor, side: int) -> Tensor:
    """Displacements (B, H, W, 2) in pixels at these places, from a window of the fixed field; weight 0: none."""
    top, left = numbers[:, 1].long(), numbers[:, 2].long()
    window = _windows(side, places.device)[:, top, left].transpose(0, 1)  # (B, 2, S, S)
    shares = (2 * places + 1) / side - 1
    found = grid_sample(window, shares, "bilinear", "border", align_corners=False)
    return found.permute(0, 2, 3, 1) * numbers[:, 0].view(-1, 1, 1, 1)


@cache
def field(side: int) -> NDArray[np.float32]:
    """Displacements in pixels (2, 2 side, 2 side), always the same: Gaussian noise whose largest number in a window is 1,
    blurred and scaled by ALPHA."""
    noise = np.random.default_rng(1).standard_normal((2, 2 * side, 2 * side), np.float32)
    noise *= ALPHA / np.abs(noise[:, :side, :side]).max()
    return np.stack([cv2.GaussianBlur(one, (0, 0), SIGMA, borderType=cv2.BORDER_REPLICATE) for one in noise])


@cache
def _windows(side: int, device: torch.device) -> Tensor:
    """All windows (2, side + 1, side + 1, side, side) of the field, a view of it; uploaded once."""
    return torch.from_numpy(field(side)).to(device).unfold(1, side, 1).unfold(2, side, 1)
