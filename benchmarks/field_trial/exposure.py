"""A peer that sees no anatomy: what brightness, contrast and sharpness alone tell (imaging/domain/exposure.py), and where lesions
lie in other patients."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.field_trial.cohorts import REAL
from benchmarks.field_trial.recipes import Outputs
from imaging.domain import exposure
from imaging.prepared import Prepared

FAINT = 1e-3
"""Highest possible value of its maps: below the lowest level, so that nothing is drawn."""
BLUR = 1 / 40
"""Deviation in sides of the map."""


def outputs(prepared: Prepared, known: NDArray[np.int64], rows: NDArray[np.int64]) -> Outputs:
    """Probabilities of some rows, and for all of them one faint map: the mean mask of the positive ones of `known`. Of the rows
    `known` the real ones count alone, where there are any: painted lesions change no exposure."""
    real = known[prepared.index["source"].to_numpy(object)[known] == REAL]
    known = real if len(real) else known
    label = prepared.index["label"].to_numpy(float)[known] == 1
    prob = exposure.probability(
        exposure.features(prepared.images[known]), label, exposure.features(prepared.images[rows])
    )
    place = prepared.masks(known[label]).mean(axis=0, dtype=np.float32)
    place = FAINT * cv2.GaussianBlur(place, (0, 0), BLUR * prepared.size)
    return Outputs(prob, np.broadcast_to(place, (len(rows), *place.shape)))
