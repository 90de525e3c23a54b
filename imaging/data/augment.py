"""Augmentation of a training image and its mask. The only module that imports albumentations, so that it can
be replaced.

No vertical flips and no rotations by 90 degrees, which no radiograph shows. Horizontal flips are kept, although the heart
changes its side: both lungs have pneumothoraces, and most published solutions flip. Borders are filled with black, as
collimation leaves them: mirroring would draw a second lung edge where the findings lie.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # otherwise its import asks a server for a newer version
import albumentations as A

from imaging.data import noise
from imaging.data.augment_batch import Fused
from imaging.settings import AugmentSettings

Image = NDArray[np.uint8]
Changes = list[A.BasicTransform | A.BaseCompose]
Augment = Callable[[Image, Image | None, int], tuple[Image, Image | None]]


# How geometric changes interpolate and fill borders; some published solutions kept their library's mirrored borders.
_BLACK: dict[str, Any] = {
    "interpolation": cv2.INTER_LINEAR,
    "mask_interpolation": cv2.INTER_NEAREST,
    "border_mode": cv2.BORDER_CONSTANT,
    "fill": 0,
    "fill_mask": 0,
}
_MIRRORED = {**_BLACK, "border_mode": cv2.BORDER_REFLECT_101}


def build(settings: AugmentSettings, size: int) -> Augment | Fused | None:
    """The preset as `augment(image, mask, seed) -> (image, mask)`; None for the preset 'none'; Fused where settings ask for it.

    image: uint8 (size, size). mask: uint8 0/1 of the same shape, or None. The result depends only on the
    arguments, not on earlier calls or on the process.
    """
    if settings.preset == "none":
        return None
    return Fused(settings, size) if settings.engine == "fused" else Augmentation(settings, size)


class Augmentation:
    """A preset. May be sent to another process."""

    def __init__(self, settings: AugmentSettings, size: int) -> None:
        self.size = size
        published = {
            "baseline": _baseline,
            "mmsegmentation": _mmsegmentation,
            "cad": _cad,
            "winners": _winners,
        }
        if settings.preset == "standard":
            changes = standard(settings.probability, size)
        else:
            changes = published[settings.preset](size)
        self._compose = A.Compose(changes, strict=True)

    def __call__(self, image: Image, mask: Image | None, seed: int) -> tuple[Image, Image | None]:
        """Augment one image; ValueError when its size is not the one this was built for."""
        if image.shape != (self.size, self.size):
            raise ValueError(f"augmentation was built for ({self.size}, {self.size}), not for {image.shape}")
        # Seed both generators of every transform: the sequence that Compose(seed=…) starts would depend
        # on the worker.
        self._compose.set_random_state(np.random.default_rng(seed), random.Random(seed))
        out: dict[str, Any] = (
            self._compose(image=image) if mask is None else self._compose(image=image, mask=mask)
        )
        return out["image"], out.get("mask")


def standard(p: float, size: int) -> Changes:
    """Ranges as in the published SIIM-ACR solutions (1st place: shift .0625, scale .1, gamma 80-120,
    contrast .2; 7th: rotation 10).

    A patient stands upright before the detector, so 10 degrees are plenty. Either gamma or contrast
    changes, not both; brightness changes by .1, half of theirs, since more turns the mediastinum white.
    """
    move = _move(shift=0.0625, scale=0.1, turn=10, p=p)
    tone = A.OneOf(
        [
            A.RandomGamma(gamma_limit=(80, 120), p=1),
            A.RandomBrightnessContrast(brightness_limit=0.1, contrast_limit=0.2, brightness_by_max=True, p=1),
        ],
        p=p,
    )
    return [A.HorizontalFlip(p=p), move, tone, _Noise(size, p=p)]


def _move(shift: float, scale: float, turn: float, p: float, border: dict[str, Any] = _BLACK) -> A.Affine:
    """What the sources call ShiftScaleRotate(shift, scale, turn): at most this much either way, turn in degrees."""
    return A.Affine(
        translate_percent=(-shift, shift),
        scale=(1 - scale, 1 + scale),
        rotate=(-turn, turn),
        shear=0,
        keep_ratio=True,
        fit_output=False,
        p=p,
        **border,
    )


def _baseline(size: int) -> Changes:
    """The mixed-loss recipes' (public SIIM-ACR kernels of 2019): flip, ShiftScaleRotate(0, .1, 10), GaussNoise of variance 10
    to 50 on 256 levels."""
    levels = (10**0.5 / 255, 50**0.5 / 255)
    noise = A.GaussNoise(std_range=levels, mean_range=(0, 0), per_channel=False, p=0.5)
    return [A.HorizontalFlip(p=0.5), _move(shift=0, scale=0.1, turn=10, p=0.5), noise]


def _mmsegmentation(size: int) -> Changes:
    """mmsegmentation's medical configurations: RandomFlip(.5) and PhotoMetricDistortion, which changes brightness by 32 levels
    and contrast by half, each with probability .5; its hue and saturation do not exist in a grey image."""
    tone = [
        A.RandomBrightnessContrast(32 / 255, 0, brightness_by_max=True, p=0.5),
        A.RandomBrightnessContrast(0, 0.5, brightness_by_max=True, p=0.5),
    ]
    return [A.HorizontalFlip(p=0.5), *tone]


def _cad(size: int) -> Changes:
    """The two-stage system at 256 px (github.com/chuevin/Pneumothorax-Classification-and-Segmentation, README)."""
    crop = A.RandomSizedCrop(
        min_max_height=(round(size * 176 / 256), size),
        size=(size, size),
        interpolation=cv2.INTER_LINEAR,
        mask_interpolation=cv2.INTER_NEAREST,
        p=0.25,
    )
    tiles = max(2, size // 8)  # 32 x 32 of them at 256 px, eight pixels a side
    equalise = A.CLAHE(clip_limit=(1, 2), tile_grid_size=(tiles, tiles), p=0.4)
    return [
        A.HorizontalFlip(p=0.5),
        _move(shift=0.0625, scale=0.1, turn=45, p=0.5, border=_MIRRORED),  # the library's defaults
        _elastic(p=0.5),
        A.OneOf(_tones(), p=0.3),
        A.OneOf([crop, equalise], p=0.5),
    ]


def _winners(size: int) -> Changes:
    """The first place's preset (github.com/sneddy/pneumothorax-segmentation, albumentations 0.3.1).

    Its OpticalDistortion(2, .5) also moved by up to half a pixel, rounded to none.
    """
    bend = [
        _elastic(p=1),
        A.GridDistortion(num_steps=5, distort_limit=0.3, p=1, **_MIRRORED),
        A.OpticalDistortion(distort_limit=(-2, 2), p=1, **_MIRRORED),
    ]
    return [
        A.HorizontalFlip(p=0.5),
        A.OneOf(_tones(), p=0.3),
        A.OneOf(bend, p=0.3),
        _move(shift=0.0625, scale=0.1, turn=45, p=0.5, border=_MIRRORED),
    ]


def _tones() -> list[A.BasicTransform]:
    return [
        A.RandomBrightnessContrast(0, 0.2, brightness_by_max=True, p=1),
        A.RandomGamma(gamma_limit=(80, 120), p=1),
        A.RandomBrightnessContrast(0.2, 0, brightness_by_max=True, p=1),
    ]


def _elastic(p: float) -> A.ElasticTransform:
    """ElasticTransform(alpha 120, sigma 6, alpha_affine 3.6) in pixels, whatever the image's size; the library has dropped the
    affine part, which the separate affine move replaces."""
    return A.ElasticTransform(alpha=120, sigma=6, p=p, **_MIRRORED)


class _Noise(A.ImageOnlyTransform):
    """Gaussian noise of 1 to 5 grey levels, cut from one fixed field at a random place: see imaging/data/noise.py."""

    def __init__(self, size: int, p: float) -> None:
        super().__init__(p=p)
        self._field = noise.field(size)

    def get_params(self) -> dict[str, Any]:
        side = len(self._field) // 2
        top, left = self.py_random.randrange(side), self.py_random.randrange(side)
        return {"weight": self.py_random.uniform(*noise.LEVELS) / noise.UNIT, "top": top, "left": left}

    def apply(self, img: Image, weight: float, top: int, left: int, **_: Any) -> Image:
        window = self._field[top : top + img.shape[0], left : left + img.shape[1]]
        moved = cv2.addWeighted(img, 1.0, window, weight, -noise.MIDDLE * weight)  # rounds and saturates
        return np.asarray(moved, np.uint8)
