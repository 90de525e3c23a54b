"""Pooled mask evidence: the image's probability where there is no classifier, from its mask map alone.

The highest pixels of a map say whether anything was found; their mean is steadier than the single highest one. A segmentation
network with an image-level head multiplies its map by the head's probability, so the pool holds that too."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from ensemble.evidence.evidence import Evidence
from ensemble.evidence.histograms import Counts
from experiments.statistics.arrays import Floats
from imaging.map_levels import HALF, STEP, TOP

SHARE = 0.001
"""Share of the pixels that are pooled: 1,049 of a 1024² radiograph; 95 % of the lesions of SIIM-ACR are larger."""


def pooled_evidence(above: Counts) -> Floats:
    """Sigmoid (N,) of the mean logit of the highest 0.1 % of each image's pixels, at least one, a level counting as its middle.

    above: (N, 257) pixels at or above each level. A pixel of level k is at or above the levels 1 to k, so the sum of the highest
    m pixels' levels is the sum over the levels of min(above, m). Whole numbers: the same value for one image and for many.
    """
    pooled = np.maximum(np.rint(SHARE * above[:, 0]), 1).astype(np.int64)
    total = np.minimum(above[:, 1 : TOP + 1], pooled[:, None]).sum(axis=1, dtype=np.int64)
    return expit(STEP * (total / pooled - HALF) + STEP / 2)


def mask_evidence(above: Counts, agreement: Floats) -> Evidence:
    """Evidence of N images without classifiers: the pooled mask evidence is the raw probability and the one member."""
    raw = pooled_evidence(above)
    return Evidence(prob=raw, raw=raw, members=raw[:, None], above=above, agreement=agreement)
