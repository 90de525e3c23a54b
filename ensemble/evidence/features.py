"""What a mask map shows, as a few numbers per image: computed from its cumulative histogram alone.

Every feature is bounded, means the same for any image size (areas are shares of the image), and is available both for
out-of-fold predictions and at inference. With one mask model there is no agreement between models; it is then 1 everywhere and
gets no weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from ensemble.evidence.evidence import Evidence
from ensemble.evidence.histograms import NOTHING, Counts
from experiments.statistics.arrays import Floats
from imaging.map_levels import HALF, LOGIT, PROBABILITY, TOP

_SMALLEST_SHARE = 1e-6
"""One pixel of a 1024² radiograph; shares are taken on a logarithmic scale from here to 1."""
RIM = 16
"""Levels between a mask's edge and the inner end of its rim: 1.12 of the logit, from .5 to .75."""


def logit(prob: Floats) -> Floats:
    """Log odds of a probability kept 1e-6 from 0 and 1 (±13.8)."""
    p = np.clip(prob, 1e-6, 1 - 1e-6)
    return np.log(p) - np.log1p(-p)


def log_share(pixels: Counts, of: Counts) -> Floats:
    """Share of an image on a logarithmic scale, from -13.8 (a millionth or less) to 0 (all of it)."""
    return np.log(np.maximum(pixels / of, _SMALLEST_SHARE))


def image_features(evidence: Evidence) -> dict[str, Floats]:
    """Features (N,) for the probability of a pneumothorax: the raw one first (`classifier`, the classifier ensemble's or the
    pooled mask evidence), then what the mask map shows."""
    top = np.array(NOTHING - 1) - np.argmax(evidence.above[:, NOTHING - 1 :: -1] > 0, axis=1)
    weighted = _sums_above(evidence.above, PROBABILITY)
    return {
        "classifier": logit(evidence.raw),
        "mask_top": LOGIT[top],
        "mask_area": log_share(evidence.above[:, HALF], evidence.pixels),
        "mask_mass": np.log(np.maximum(weighted[:, 0] / evidence.pixels, _SMALLEST_SHARE)),
        "mask_inside": _mean(weighted[:, HALF], evidence.above[:, HALF]),
        "agreement": evidence.agreement,
    }


@dataclass(frozen=True)
class MapSums:
    """Sums over the pixels at or above each level, (N, 257): of their probability, and of its entropy in
    nats."""

    prob: Floats
    entropy: Floats


def map_sums(evidence: Evidence) -> MapSums:
    """What `mask_features` needs at any level; computed once where many levels are tried."""
    return MapSums(
        prob=_sums_above(evidence.above, PROBABILITY), entropy=_sums_above(evidence.above, _ENTROPY)
    )


def mask_features(evidence: Evidence, level: int, sums: MapSums) -> dict[str, Floats]:
    """Features (N,) for the expected Dice of the mask cut at this level.

    area; mean probability inside; its mean entropy inside; the share of the mask that a cut 16 levels
    higher would lose; the Dice that the map itself expects of this cut (2·Σ_inside p / (area + Σ p), as if its
    pixels were calibrated); the models' agreement; and the logit of the image's probability."""
    area = evidence.above[:, level]
    return {
        "area": log_share(area, evidence.pixels),
        "inside": _mean(sums.prob[:, level], area),
        "entropy": _mean(sums.entropy[:, level], area),
        "rim": 1.0 - _mean(evidence.above[:, min(level + RIM, TOP)], area),
        "own_dice": _mean(2 * sums.prob[:, level], area + sums.prob[:, 0]),
        "agreement": evidence.agreement,
        "probability": logit(evidence.prob),
    }


_ENTROPY: Floats = entr(PROBABILITY) + entr(1 - PROBABILITY)


def _sums_above(above: Counts, value: Floats) -> Floats:
    """Sum of value[q] over the pixels at or above each level: (N, 257)."""
    sums = np.zeros(above.shape)
    terms = (above[:, :-1] - above[:, 1:]) * value
    sums[:, :-1] = np.cumsum(terms[:, ::-1], axis=1)[:, ::-1]
    return sums


def _mean(total: NDArray[Any], count: NDArray[Any]) -> Floats:
    """total / count, 0 where nothing is counted."""
    return np.divide(total, count, out=np.zeros(len(total)), where=count > 0)
