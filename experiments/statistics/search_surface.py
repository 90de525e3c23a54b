"""Choose a setting from a smoothed search surface.

The maximum over thousands of settings, measured on a few hundred positive images, is partly chance. Each setting is therefore
scored by the mean over its neighbours; among equal settings the one nearest to their centre is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import uniform_filter1d

from experiments.statistics.arrays import Bools, Floats


def smoothed(surface: Floats, radius: Sequence[int], allowed: Bools | None = None) -> Floats:
    """Mean over a box of ±radius[k] settings along axis k, over the allowed settings inside the surface only.

    Returns -inf where a setting is not allowed.
    """
    weight = np.ones(surface.shape) if allowed is None else allowed.astype(np.float64)
    total = np.where(weight > 0, surface, 0.0)
    for axis, reach in enumerate(radius):
        total = uniform_filter1d(total, 2 * reach + 1, axis=axis, mode="constant")
        weight = uniform_filter1d(weight, 2 * reach + 1, axis=axis, mode="constant")
    mean = total / np.maximum(weight, 1e-12)
    return mean if allowed is None else np.where(allowed, mean, -np.inf)


def choose(
    surface: Floats, radius: Sequence[int], allowed: Bools | None = None, tolerance: float = 1e-6
) -> tuple[int, ...]:
    """Index of the chosen setting: highest smoothed score; among those within `tolerance`, the nearest to
    their middle.

    Scores are means of Dice; a tolerance of 1e-6 is a hundredth of what one image in 10,000 can change.
    """
    mean = smoothed(surface, radius, allowed)
    best = np.argwhere(mean >= mean.max() - tolerance)
    distance = np.abs(best - best.mean(axis=0)).sum(axis=1)
    return tuple(int(i) for i in best[int(np.argmin(distance))])
