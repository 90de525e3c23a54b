"""Numbers that describe a picture as a whole: its grey levels, its layout and its texture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.resize import resize_image

SIDE = 128
MINIATURE = 16
QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
BANDS = 4
"""Of the Laplacian pyramid, from 128 to 16 pixels a side."""
FAMILIES = ("grey", "layout", "texture")


def describe(square: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """The three families of numbers of a prepared picture uint8 (S, S).

    `grey` (9): quantiles of the grey levels, 0..1. `layout` (256): the picture at 16 x 16 with mean 0 and standard deviation 1,
    so that brightness and contrast do not count. `texture` (20): of each band of the Laplacian pyramid (Burt and Adelson 1983),
    finest first, its strength, whether it is stronger along rows than along columns, its kurtosis and skewness, and its share in
    the middle.
    """
    small = resize_image(square, SIDE).astype(np.float32)
    tiny = cv2.resize(small.astype(np.float64), (MINIATURE, MINIATURE), interpolation=cv2.INTER_AREA).ravel()
    return {
        "grey": np.quantile(small, QUANTILES) / 255,
        "layout": (tiny - tiny.mean()) / (tiny.std() + 1.0),
        "texture": _bands(small),
    }


def _bands(picture: NDArray[np.float32]) -> NDArray[np.float64]:
    found: list[float] = []
    for _ in range(BANDS):
        coarse = np.asarray(cv2.pyrDown(picture), np.float32)
        found += _band(picture - np.asarray(cv2.pyrUp(coarse), np.float32))
        picture = coarse
    return np.array(found)


def _band(band: NDArray[np.float32]) -> list[float]:
    """Five numbers of one band (s, s); the constants keep a flat picture finite."""
    spread, away, quarter = float(band.std()) + 0.5, band - band.mean(), len(band) // 4
    along, down = (float(np.diff(band, axis=axis).std()) + 0.5 for axis in (1, 0))
    middle = np.abs(band[quarter:-quarter, quarter:-quarter]).mean() + 0.2
    return [
        float(np.log(spread)),
        float(np.log(along / down)),
        float(np.log((away**4).mean() / spread**4 + 0.5)),
        float((away**3).mean() / spread**3),
        float(np.log(middle / (np.abs(band).mean() + 0.2))),
    ]
