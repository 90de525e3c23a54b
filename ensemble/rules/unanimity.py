"""The ninth place's rule: every classifier's probability is high, or the mask is large and certain by itself.

Without classifiers the mask models' pooled probabilities take their place."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from pydantic import Field

from ensemble.evidence.evidence import Cases, Evidence
from ensemble.rules.base import Rule, compared, cut_where, mean_score
from ensemble.rules.triplet import COARSE
from experiments.statistics.arrays import Ints
from experiments.statistics.search_surface import choose
from experiments.statistics.threshold_search import area_grid, either_key_surface, quantile_cuts
from imaging.map_levels import label

NEVER = 2**40
"""An area that no image reaches: the mask alone then never suffices."""


class Unanimity(Rule):
    """Submit iff every classifier reaches a cut, or at least `area` reference pixels reach `top`; mask at
    `bottom`.

    Scizzzo, 9th place: every experiment's fold mean above 0.7, united with first-stage masks above 2,000
    pixels."""

    kind: Literal["unanimity"] = "unanimity"
    cut: float = Field(ge=0, le=1)
    """Minimum uncalibrated probability that every classifier must give."""
    top: int = Field(ge=1, le=255)
    """Level of certain pixels."""
    area: int = Field(ge=0)
    """Number of them that suffices without the classifiers, in reference pixels."""
    bottom: int = Field(ge=1, le=255)
    """Level of the mask."""
    reference: int = Field(ge=1)
    """Pixels of the image in which `area` is counted."""

    @classmethod
    def fit(cls, cases: Cases, reference: int) -> Self:
        """32 cuts, 31 × 31 levels and 16 areas (and none), all together; from the smoothed search surface."""
        evidence, areas = cases.evidence, np.append(area_grid(16), NEVER)
        least = evidence.members.min(axis=1)
        cuts = quantile_cuts(least, 32)
        pixels = np.stack([evidence.area(int(level), reference) for level in COARSE], axis=1)
        gains = either_key_surface(least, cuts, pixels, areas, cases.gain()[:, COARSE])
        cut, top, area, bottom = choose(mean_score(gains, cases), (1, 1, 1, 1))
        return cls(
            cut=float(cuts[cut]),
            top=int(COARSE[top]),
            area=int(areas[area]),
            bottom=int(COARSE[bottom]),
            reference=reference,
        )

    def thresholds(self, evidence: Evidence) -> Ints:
        unanimous = evidence.members.min(axis=1) >= self.cut
        return cut_where(unanimous | (evidence.area(self.top, self.reference) >= self.area), self.bottom)

    def least_raw(self) -> float:
        """See Rule: the cut where no mask suffices alone, since a mean is not below all of its terms.

        Slightly lower, and not above the end of the logits' range, to be safe from rounding."""
        return max(min(self.cut, 1 - 1e-6) - 1e-9, 0.0) if self.area >= NEVER else 0.0

    def reason(self, evidence: Evidence) -> str:
        least, area = evidence.members[0].min(), int(evidence.area(self.top, self.reference)[0])
        alone = f"or {self.area:,} pixels at {label(self.top)} ({area:,} found)" if self.area < NEVER else ""
        return f"lowest raw probability {compared(least, self.cut)} {alone}".rstrip()
