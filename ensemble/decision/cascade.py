"""The cascade's floor: the raw classifier probability below which no mask is submitted, at a cost fixed by cross-fitting.

A floor costs more on new images than on those it was chosen on. So the cost is measured on groups of
patients that the floor was not fitted to, and the budget is lowered until that cost is the one requested.
"""

from __future__ import annotations

import numpy as np

from ensemble.evidence.evidence import Cases
from ensemble.evidence.histograms import NOTHING
from experiments.statistics.arrays import Floats, Ints
from experiments.statistics.threshold_search import UNIT

BUDGETS = np.append(np.geomspace(1, 1 / 64, 13), 0.0)
"""Shares of the requested cost that are tried, largest first."""


def fit_floor(cases: Cases, level: Ints, group: Ints, cost: float) -> float:
    """Floor whose cross-fitted cost is at most `cost` of the score; 0 where none is.

    cases: N images with their raw probability; level: (N,) where the rule cuts their masks, 256 for none; group: (N,), no
    patient in two.
    """
    gain = cases.units[np.arange(len(cases)), level] - cases.units[:, NOTHING]
    return cross_fitted_floor(cases.evidence.raw, gain, group, cost)


def cross_fitted_floor(raw: Floats, gain: Ints, group: Ints, cost: float) -> float:
    """The same from raw probabilities (N,) and what each mask gains over leaving its image empty (N,), in whole units."""
    for share in BUDGETS:
        if paid(raw, gain, group, share * cost) <= cost:
            return floor_of(raw, gain, share * cost)
    return 0.0


def paid(raw: Floats, gain: Ints, group: Ints, budget: float) -> float:
    """Mean loss of score on images (N,) whose floor was fitted to the other groups with this budget."""
    lost = 0
    for g in np.unique(group):
        inside = group == g
        others = ~inside if not inside.all() else inside
        floor = floor_of(raw[others], gain[others], budget)
        lost += int(gain[inside & (raw < floor)].sum())
    return lost / UNIT / len(raw)


def floor_of(raw: Floats, gain: Ints, budget: float) -> float:
    """Raw probability below which masks are given up: up to it, what they earned over leaving the images empty (gain, in whole
    units) never added up to more than `budget` of the score. 0 where all masks together earn no more."""
    value, place = np.unique(raw, return_inverse=True)
    total = np.zeros(len(value), np.int64)
    np.add.at(total, place, gain)
    above = np.cumsum(total) > int(budget * len(raw) * UNIT)
    return float(value[above.argmax()]) if above.any() else 0.0
