"""The gate of most published two-stage solutions, a mask where the probability reaches a cut, and its quota form."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from pydantic import Field
from sklearn.metrics import roc_curve

from ensemble.evidence.evidence import Cases, Evidence
from ensemble.evidence.histograms import NOTHING
from ensemble.rules.base import LEVEL_RADIUS, Rule, compared, cut_where, mean_score
from experiments.statistics.arrays import Ints
from experiments.statistics.search_surface import choose
from experiments.statistics.threshold_search import gate_surface, quantile_cuts

CUTS = 256
CUT_RADIUS = 4
"""Neighbourhood of a cut: ±4 of 256 quantiles, 3 % of the images."""


class Gate(Rule):
    """Submit iff the image's probability reaches a cut; mask: pixels at or above a level."""

    kind: Literal["gate"] = "gate"
    cut: float = Field(ge=0, le=1)
    """Minimum probability for a mask."""
    level: int = Field(ge=1, le=255)
    """Level of the mask."""

    @classmethod
    def fit(cls, cases: Cases, reference: int) -> Self:
        """All cuts at 256 quantiles with all levels, exactly; from the smoothed search surface."""
        cut, level = _search(cases)
        return cls(cut=cut, level=level)

    @classmethod
    def fit_to_labels(cls, cases: Cases) -> Self:
        """The cut of highest balanced accuracy (Youden 1950), for data without masks; the level is then irrelevant."""
        fpr, tpr, value = roc_curve(cases.label, cases.evidence.prob, drop_intermediate=False)
        best = int(np.argmax(np.round(tpr - fpr, 12)))
        below = float(value[best + 1]) if best + 1 < len(value) else 0.0
        return cls(cut=(min(float(value[best]), 1.0) + below) / 2, level=NOTHING - 1)

    def thresholds(self, evidence: Evidence) -> Ints:
        return cut_where(evidence.prob >= self.cut, self.level)

    def least_prob(self) -> float:
        return self.cut

    def needed(self, evidence: Evidence) -> float | None:
        return self.cut

    def reason(self, evidence: Evidence) -> str:
        return compared(evidence.prob[0], self.cut)


class Quota(Gate):
    """Submit for a fixed share of the images, those of highest probability (42nd place: 17 to 18 %).

    Given one image at a time it uses the cut that gave this share in fitting; `for_batch` takes the share of the batch itself."""

    kind: Literal["quota"] = "quota"  # type: ignore[assignment]
    share: float = Field(ge=0, le=1)
    """Share of images that get a mask."""

    @classmethod
    def fit(cls, cases: Cases, reference: int) -> Self:
        """As the gate, then the share that passes."""
        cut, level = _search(cases)
        return cls(cut=cut, level=level, share=float(np.mean(cases.evidence.prob >= cut)))

    def for_batch(self, evidence: Evidence) -> Self:
        """The cut at which this batch has the share; all images of a tie pass together."""
        count = round(self.share * len(evidence))
        if count == 0:
            return self.model_copy(update={"cut": 1.0})
        return self.model_copy(update={"cut": float(np.sort(evidence.prob)[-count])})

    def reason(self, evidence: Evidence) -> str:
        return f"{compared(evidence.prob[0], self.cut)} to be among the highest {self.share:.0%}"


def _search(cases: Cases) -> tuple[float, int]:
    cuts = quantile_cuts(cases.evidence.prob, CUTS)
    surface = mean_score(gate_surface(cases.evidence.prob, cuts, cases.gain()), cases)
    cut, level = choose(surface[:, 1:], (CUT_RADIUS, LEVEL_RADIUS))
    return float(cuts[cut]), level + 1
