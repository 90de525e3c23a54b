"""The competition score of one network's predictions under a rule that was fitted on other patients.

Trials of a study are compared by this score and not by their loss: a loss that is lower because large lesions are drawn
better need not score better. It is the ensemble's threshold search on one fold, at the network's own size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.statistics.arrays import Bools, Floats, Ints
from experiments.statistics.search_surface import choose
from experiments.statistics.threshold_search import UNIT, bins_of, triplet_surface

GROUPS = 5
TIE = 1e-4
"""Weight of a network's quality relative to its score: less than one image in 10,000, so that it only breaks ties."""


def patient_groups(patient: NDArray[Any], groups: int = GROUPS) -> Ints:
    """Deal patients to `groups` groups by size, largest first: a split that depends on the data alone, not
    on its order."""
    size = pd.Series(patient).value_counts()
    order = sorted(size.items(), key=lambda item: (-item[1], str(item[0])))
    filled, place = [0] * groups, {}
    for name, count in order:
        place[name] = int(np.argmin(filled))
        filled[place[name]] += count
    return np.array([place[name] for name in patient], np.int64)


def nested_score(
    size: NDArray[Any],
    cuts: NDArray[Any],
    dice: Floats,
    empty: Floats,
    group: Ints,
    radius: tuple[int, int, int] = (1, 1, 1),
    allowed: Bools | None = None,
) -> float:
    """Mean Dice of N images, those of each group decided by the rule that is best for the other groups.

    The rule: submit iff size[:, t] >= cuts[a], and then earn dice[:, l]; else earn `empty`. (t, a, l) are searched
    together, exactly, and chosen from the smoothed search surface, whose neighbourhood is `radius`.

    size: (N, T) evidence for a lesion, by T measures; cuts: (A,) ascending; dice: (N, L) of each way of drawing
    the mask; empty: (N,) of the empty mask; group: (N,), no patient in two; allowed: broadcasts to (T, A, L).
    """
    gain, base = _units(dice) - _units(empty)[:, None], int(_units(empty).sum())
    shape = (size.shape[1], len(cuts), dice.shape[1])
    permitted = None if allowed is None else np.broadcast_to(allowed, shape)
    place, earned = bins_of(size, cuts), 0
    for g in np.unique(group):
        inside = group == g
        others = ~inside if not inside.all() else inside  # one patient alone has no others
        surface = triplet_surface(size[others], cuts, gain[others]) / UNIT / others.sum()
        measure, cut, way = choose(surface, radius, permitted)
        earned += int(gain[inside & (place[:, measure] > cut), way].sum())
    return (base + earned) / UNIT / len(gain)


def graded(score: float, quality: float) -> float:
    """A trial's score, plus a small term from a quality in [0, 1], which orders trials whose score is that of empty masks.

    After few epochs the best rule is often to submit nothing; all such trials would tie, and the first would count as best.
    """
    return score + TIE * quality


def _units(dice: Floats) -> Ints:
    return np.rint(dice * UNIT).astype(np.int64)
