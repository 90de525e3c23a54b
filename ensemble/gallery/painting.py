"""Draw films before and after painting (docs/painting.md), on phantoms: no picture of a patient belongs in the repository.

One row per phantom without a pneumothorax, one of its lungs enlarged: as it is, with painted air, the same with its outline,
and the three decoys.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ensemble.gallery.phantoms import SIDE, in_rows, outlined, write_picture
from imaging.painting.air import DECOYS
from imaging.painting.film import Painted, painted
from imaging.phantom.chest.render import render
from imaging.settings import PhantomSettings

CROP = 420
"""Side in pixels of the enlarged region, of 1024."""
LEAST = 12_000
"""Pixels of painted air that can be seen at this size."""
TRIES = 40
FILMS = (2, 5, 10)
"""Phantoms without a pneumothorax whose lungs are detected well, by their number in the default data set."""


def write(file: Path) -> None:
    """Write the sheet as PNG."""
    settings = PhantomSettings()
    write_picture(
        file,
        in_rows(*[_row(render(settings.seed, number, settings).pixels, number) for number in FILMS]),
    )


def _row(film: NDArray[np.uint8], seed: int) -> list[NDArray[np.uint8]]:
    """Six pictures of one film."""
    for number in range(TRIES):
        air = painted(film, np.random.default_rng([seed, number]))
        if air is not None and air.mask.sum() >= LEAST:
            part = _around(air)
            decoys = [
                painted(film, np.random.default_rng([seed, number]), kind) for kind in dict.fromkeys(DECOYS)
            ]
            pictures = [film, air.pixels, *(one.pixels for one in decoys if one is not None)]
            before, after, *rest = [_enlarged(one[part]) for one in pictures]
            mask = cv2.resize(air.mask[part], (SIDE, SIDE), interpolation=cv2.INTER_NEAREST) > 0
            return [before, after, outlined(after, mask), *rest]
    raise ValueError(f"no air of {LEAST:,} pixels on phantom {seed}")


def _around(air: Painted) -> tuple[slice, slice]:
    """A square around the air."""
    found = [int(np.median(places)) for places in np.nonzero(air.mask)]
    corner = [
        min(max(centre - CROP // 2, 0), size - CROP)
        for centre, size in zip(found, air.mask.shape, strict=True)
    ]
    return slice(corner[0], corner[0] + CROP), slice(corner[1], corner[1] + CROP)


def _enlarged(part: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """At the sheet's size, with all greys from black to white."""
    small = cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low, high = np.percentile(small, [0.5, 99.5])
    return np.clip((small - low) / max(high - low, 1) * 255, 0, 255).astype(np.uint8)
