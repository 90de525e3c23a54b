"""The bytes of probability maps: 256 levels of the logit, a step of 0.07 each. Everything that reads or writes maps imports this.

    level k    holds the probabilities p with logit p in [0.07 (k - 80), 0.07 (k - 79)); the first and last level hold the rest
    level 0    p < 0.0040, decoded as 0: background, which the archives compress and the histograms leave out
    level 80   begins at one half
    level 255  p >= 1 - 4.8e-6, decoded as 1

A pixel reaches level k if and only if its probability reaches THRESHOLD[k]: a cut at a level is a cut of the probability.
Networks trained with -log(dice) drive their maps towards 0 and 1. Equal steps of probability have no levels there: all logits
above 6.2 share one. Equal steps of the logit distinguish up to 12.25. The price is the middle, where a step is 0.0175 of
probability instead of 0.0039. Range and step: docs/decisions/eight-bit-thresholds.md.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

ENCODING = "logit/0.07/80"
"""Name of this encoding, in archives of maps and in decisions; another step or range is another name."""
STEP = 0.07
"""Width of a level in logits."""
HALF = 80
"""The level that begins at one half."""
TOP = 255
"""The highest level."""

_EDGE = STEP * (np.arange(TOP + 1) - HALF)
LOGIT: NDArray[np.floating] = _EDGE + STEP / 2
"""(256,): logit in the middle of each level."""
THRESHOLD: NDArray[np.float64] = np.where(_EDGE[0] < _EDGE, 1 / (1 + np.exp(-_EDGE)), 0.0)
"""(256,): least probability of each level."""
PROBABILITY: NDArray[np.float64] = 1 / (1 + np.exp(-LOGIT))
"""(256,): the probability that each level is decoded as."""
PROBABILITY[[0, TOP]] = 0.0, 1.0
COMPLEMENT: NDArray[np.float32] = (1 - PROBABILITY).astype(np.float32)
"""(256,): 1 - PROBABILITY, for means in float32, which has digits near 0 and not near 1."""


def encode(prob: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Levels uint8 of probabilities float32 or float64 of any shape. Not a number: 0.

    float32 suffices: the last level begins at 1 - 4.8e-6, 80 times the distance of neighbouring numbers there.
    """
    p = np.clip(np.nan_to_num(prob), 0, 1)
    return _levels(p, 1 - p)


def encode_complement(rest: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Levels uint8 of the probabilities 1 - rest, exact also where they are nearly 1."""
    q = np.clip(rest, 0, 1)
    return _levels(1 - q, q)


def _levels(p: NDArray[np.floating], rest: NDArray[np.floating]) -> NDArray[np.uint8]:
    with np.errstate(divide="ignore"):
        place = np.asarray(np.log(p / rest))
    place /= STEP
    place += HALF
    return np.clip(place, 0, TOP, out=place).astype(np.uint8)  # not below 0: cut off as rounded down


def label(level: int) -> str:
    """The least probability of a level for people, with enough digits to tell neighbours apart: 0.50, 0.981, 0.999995."""
    p = float(THRESHOLD[level])
    rest = min(p, 1 - p)
    return f"{p:.{max(2, 1 + math.ceil(-math.log10(rest / 2)))}f}" if rest else "0"
