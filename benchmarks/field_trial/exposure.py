"""A peer that sees no anatomy: what brightness, contrast and sharpness alone tell (imaging/domain/exposure.py)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.field_trial.cohorts import REAL
from benchmarks.field_trial.recipes import Outputs
from imaging.domain import exposure
from imaging.prepared import Prepared

MAP_SIDE = 32
"""Of its empty maps."""


def outputs(prepared: Prepared, known: NDArray[np.int64], rows: NDArray[np.int64]) -> Outputs:
    """Probabilities of some rows and empty maps. Of the rows `known` the real ones count alone, where there are any: painted
    lesions change no exposure."""
    real = known[prepared.index["source"].to_numpy(object)[known] == REAL]
    known = real if len(real) else known
    label = prepared.index["label"].to_numpy(float)[known] == 1
    prob = exposure.probability(
        exposure.features(prepared.images[known]), label, exposure.features(prepared.images[rows])
    )
    return Outputs(prob, np.zeros((len(rows), MAP_SIDE, MAP_SIDE), np.float32))
