"""The interface of all rules: a threshold for each image's mask, or none (256), and the reason in words."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ensemble.evidence.evidence import UNIT, Cases, Evidence
from ensemble.evidence.histograms import NOTHING, above, histogram
from experiments.statistics.arrays import Bools, Floats, Ints
from imaging.io.config import Settings
from imaging.map_levels import THRESHOLD

LEVEL_RADIUS = 4
"""Neighbourhood of a threshold over which a search surface is smoothed: ±4 of 256 levels, ±0.28 of the logit."""
LEVEL_NAMES = ("level", "top", "bottom")
"""Names of the fields that hold the levels at which rules cut."""


def compared(found: float, needed: float) -> str:
    """`0.71, needed 0.60`: two digits, or as many as tell the two apart, up to six."""
    for digits in range(2, 7):
        words = f"{found:.{digits}f}", f"{needed:.{digits}f}"
        if words[0] != words[1]:
            break
    else:
        words = f"{found:.2f}", f"{needed:.2f}"
    return f"{words[0]}, needed {words[1]}"


class Rule(Settings):
    """Base of the rules. All are plain numbers in JSON, fitted by a class method and applied to any number
    of images."""

    @classmethod
    def fit(cls, cases: Cases, reference: int) -> Self:
        """Fit to labelled images; areas are counted in pixels of an image that has `reference` pixels."""
        raise NotImplementedError

    def thresholds(self, evidence: Evidence) -> Ints:
        """The level (N,) at which each image's mask is cut (pixels >= level are inside); 256: no mask."""
        raise NotImplementedError

    def probabilities(self) -> dict[str, float]:
        """The rule's fixed levels as the probabilities that a pixel needs, by name."""
        return {
            name: round(float(THRESHOLD[level]), 9)
            for name in LEVEL_NAMES
            if (level := getattr(self, name, None))
        }

    def least_prob(self) -> float:
        """No image of a lower calibrated probability gets a mask, whatever its map shows."""
        return 0.0

    def least_raw(self) -> float:
        """No image of a lower raw probability (before calibration) gets a mask, whatever its map shows."""
        return 0.0

    def for_batch(self, evidence: Evidence) -> Self:
        """The rule for a whole batch at once; itself, unless the rule looks at the batch (quota)."""
        return self

    def reason(self, evidence: Evidence) -> str:
        """Why the one image of this evidence is predicted as it is, in words."""
        raise NotImplementedError

    def needed(self, evidence: Evidence) -> float | None:
        """Probability that the one image of this evidence needs for its mask; None where the rule requires none, or where no
        probability would suffice."""
        return None

    def apply(self, image_prob: float, mask_prob: NDArray[np.uint8]) -> Bools:
        """The mask (H, W) of one image from its calibrated probability and its map uint8 at the original
        resolution."""
        level = int(self.thresholds(one_image(image_prob, mask_prob))[0])
        return mask_prob >= level if level < NOTHING else np.zeros(mask_prob.shape, np.bool_)


def one_image(
    prob: float,
    mask_prob: NDArray[np.uint8],
    raw: float | None = None,
    members: Any = None,
    agreement: float = 1.0,
) -> Evidence:
    """Evidence of one image; what is not given is taken from `prob`, and the agreement is that of a single mask model."""
    raw = prob if raw is None else raw
    return Evidence(
        prob=np.array([prob], np.float64),
        raw=np.array([raw], np.float64),
        members=np.array([[raw] if members is None else members], np.float64),
        above=above(histogram(mask_prob))[None],
        agreement=np.array([agreement], np.float64),
    )


def cut_where(passes: Bools, level: int) -> Ints:
    """One level for the images that pass, no mask for the others."""
    return np.where(passes, level, NOTHING).astype(np.int64)


def mean_score(surface: Ints, cases: Cases) -> Floats:
    """Scores of a surface of gains: what empty masks earn, and the gain on top."""
    return (surface + cases.units[:, NOTHING].sum()) / UNIT / len(cases)
