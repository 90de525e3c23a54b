"""The one field of Gaussian noise from which both augmentation engines cut their windows.

Drawing a fresh field for each image costs more than all other changes together; a field of twice the side has size^2 windows,
so that no network sees the same window often.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEVELS = (1.0, 5.0)
"""Standard deviation in grey levels."""
UNIT = 32.0
"""One standard deviation as stored in uint8: MIDDLE is no noise, and either end is 4 standard deviations away."""
MIDDLE = 128


def field(size: int) -> NDArray[np.uint8]:
    """Noise (2 size, 2 size), always the same."""
    normal = np.random.default_rng(0).standard_normal((2 * size, 2 * size), np.float32)
    return np.clip(np.rint(normal * UNIT + MIDDLE), 0, 255).astype(np.uint8)
