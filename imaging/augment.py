"""Random changes of a training image and its mask. The only file that knows albumentations, so that it can
be replaced.

No vertical flips and no 90 degree turns: a heart above the liver is no anatomy. Horizontal flips stay,
though the heart changes its side: both lungs have pneumothoraces, and most published solutions flip. Borders
are filled with black, as collimation leaves them: mirroring would draw a second lung edge where the findings
lie.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # its import asks a server for news otherwise
import albumentations as A

from imaging.settings import AugmentSettings

Image = NDArray[np.uint8]
Augment = Callable[[Image, Image | None, int], tuple[Image, Image | None]]


def build(settings: AugmentSettings, size: int) -> Augment | None:
    """The preset as `augment(image, mask, seed) -> (image, mask)`; None for the preset 'none'.

    image: uint8 (size, size). mask: uint8 0/1 of the same shape, or None. The result depends on the
    arguments alone: neither on earlier calls nor on the process.
    """
    return None if settings.preset == "none" else Augmentation(settings.probability, size)


class Augmentation:
    """The preset 'standard'. May be sent to another process."""

    def __init__(self, probability: float, size: int) -> None:
        self.size = size
        self._compose = A.Compose(_standard(probability, size), strict=True)

    def __call__(self, image: Image, mask: Image | None, seed: int) -> tuple[Image, Image | None]:
        """Change one image; ValueError when its side is not the one this was built for."""
        if image.shape != (self.size, self.size):
            raise ValueError(f"augmentation was built for ({self.size}, {self.size}), not for {image.shape}")
        # Both generators of every transform; Compose(seed=…) would seed a sequence that depends on the
        # worker.
        self._compose.set_random_state(np.random.default_rng(seed), random.Random(seed))
        out: dict[str, Any] = (
            self._compose(image=image) if mask is None else self._compose(image=image, mask=mask)
        )
        return out["image"], out.get("mask")


def _standard(p: float, size: int) -> list[A.BasicTransform | A.BaseCompose]:
    """Ranges as in the published SIIM-ACR solutions (1st place: shift .0625, scale .1, gamma 80-120,
    contrast .2; 7th: rotation 10).

    A patient stands upright before the detector, so 10 degrees are plenty. Tones change by one of gamma and
    contrast, not both; brightness by .1, half of theirs, since more whitens the mediastinum out.
    """
    move = A.Affine(
        translate_percent=(-0.0625, 0.0625),
        scale=(0.9, 1.1),
        rotate=(-10, 10),
        shear=0,
        keep_ratio=True,
        fit_output=False,
        interpolation=cv2.INTER_LINEAR,
        mask_interpolation=cv2.INTER_NEAREST,
        border_mode=cv2.BORDER_CONSTANT,
        fill=0,
        fill_mask=0,
        p=p,
    )
    tone = A.OneOf(
        [
            A.RandomGamma(gamma_limit=(80, 120), p=1),
            A.RandomBrightnessContrast(brightness_limit=0.1, contrast_limit=0.2, brightness_by_max=True, p=1),
        ],
        p=p,
    )
    return [A.HorizontalFlip(p=p), move, tone, _Noise(size, p=p)]


class _Noise(A.ImageOnlyTransform):
    """Gaussian noise of 1 to 5 grey levels, cut from one fixed field at a random place.

    Drawing a fresh field for each image (A.GaussNoise) costs more than all other changes together; a field
    of twice the side has size^2 windows, and no network sees one often enough to learn it.
    """

    LEVELS = (1.0, 5.0)
    UNIT = 32.0  # one standard deviation as stored: uint8, 128 in the middle, 4 deviations to either end

    def __init__(self, size: int, p: float) -> None:
        super().__init__(p=p)
        normal = np.random.default_rng(0).standard_normal((2 * size, 2 * size), np.float32)
        self._field = np.clip(np.rint(normal * self.UNIT + 128), 0, 255).astype(np.uint8)

    def get_params(self) -> dict[str, Any]:
        side = len(self._field) // 2
        top, left = self.py_random.randrange(side), self.py_random.randrange(side)
        return {"weight": self.py_random.uniform(*self.LEVELS) / self.UNIT, "top": top, "left": left}

    def apply(self, img: Image, weight: float, top: int, left: int, **_: Any) -> Image:
        window = self._field[top : top + img.shape[0], left : left + img.shape[1]]
        moved = cv2.addWeighted(img, 1.0, window, weight, -128 * weight)  # rounds and saturates
        return np.asarray(moved, np.uint8)
