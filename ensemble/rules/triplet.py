"""The winning solution's triplet: a mask is submitted if enough of it is nearly certain, and then cut lower;
alone, and behind a gate."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from ensemble.evidence.evidence import Cases, Evidence
from ensemble.rules.base import LEVEL_RADIUS, Rule, compared, cut_where, mean_score
from experiments.statistics.arrays import Bools, Floats, Ints
from experiments.statistics.search_surface import choose
from experiments.statistics.threshold_search import area_grid, quantile_cuts, triplet_surface, two_key_surface
from imaging.map_levels import THRESHOLD, label

AREA_RADIUS = 2
COARSE = np.arange(8, 256, 8)
"""Levels tried where a fourth number is searched with them."""


class Triplet(Rule):
    """Submit iff at least `area` reference pixels reach the level `top`; mask: pixels at or above `bottom`
    <= top.

    Sneddy, 1st place of SIIM-ACR, blend_configs/2nd_stage-v2.yaml: (0.75, 1,500, 0.3). The area is the image's
    total above `top`, not one component's."""

    kind: Literal["triplet"] = "triplet"
    top: int = Field(ge=1, le=255)
    """Level that the certain pixels reach."""
    area: int = Field(ge=0)
    """Minimum number of them, in reference pixels."""
    bottom: int = Field(ge=1, le=255)
    """Level of the mask."""
    reference: int = Field(ge=1)
    """Pixels of the image in which `area` is counted."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.bottom > self.top:
            raise ValueError(f"bottom {self.bottom} must not be above top {self.top}")
        return self

    @classmethod
    def fit(cls, cases: Cases, reference: int) -> Self:
        """All 255 × 255 levels with 64 areas, exactly; from the smoothed search surface."""
        areas = area_grid()
        top, area, bottom = choose(
            scores(cases, reference, areas), (LEVEL_RADIUS, AREA_RADIUS, LEVEL_RADIUS), ORDERED
        )
        return cls(top=top, area=int(areas[area]), bottom=bottom, reference=reference)

    @classmethod
    def of_probabilities(cls, top: float, area: int, bottom: float, reference: int) -> Self:
        """A published triplet, whose pixels exceed probabilities; each is taken at the level that begins nearest to it."""
        return cls(top=_level_at(top), area=area, bottom=_level_at(bottom), reference=reference)

    def certain(self, evidence: Evidence) -> Bools:
        """Whether enough pixels (N,) reach the top level."""
        return evidence.area(self.top, self.reference) >= self.area

    def thresholds(self, evidence: Evidence) -> Ints:
        return cut_where(self.certain(evidence), self.bottom)

    def reason(self, evidence: Evidence) -> str:
        area = int(evidence.area(self.top, self.reference)[0])
        return f"{area:,} pixels reach {label(self.top)}, needed {self.area:,}"


def _level_at(prob: float) -> int:
    """The level that begins nearest to a probability."""
    return int(np.abs(THRESHOLD[1:] - prob).argmin()) + 1


class GatedTriplet(Triplet):
    """The triplet, and the image's probability must reach a cut as well."""

    kind: Literal["gated_triplet"] = "gated_triplet"  # type: ignore[assignment]
    cut: float = Field(ge=0, le=1)
    """Minimum probability for a mask."""

    @classmethod
    def fit(cls, cases: Cases, reference: int) -> Self:
        """31 × 31 levels, 16 areas, 32 cuts at quantiles, all together; from the smoothed search surface."""
        evidence, areas, cuts = cases.evidence, area_grid(16), quantile_cuts(cases.evidence.prob, 32)
        pixels = np.stack([evidence.area(int(level), reference) for level in COARSE], axis=1)
        gains = two_key_surface(evidence.prob, cuts, pixels, areas, cases.gain()[:, COARSE])
        allowed = np.broadcast_to((COARSE[None] <= COARSE[:, None])[None, :, None, :], gains.shape)
        cut, top, area, bottom = choose(mean_score(gains, cases), (1, 1, 1, 1), allowed)
        return cls(
            cut=float(cuts[cut]),
            top=int(COARSE[top]),
            area=int(areas[area]),
            bottom=int(COARSE[bottom]),
            reference=reference,
        )

    def thresholds(self, evidence: Evidence) -> Ints:
        return cut_where(self.certain(evidence) & (evidence.prob >= self.cut), self.bottom)

    def least_prob(self) -> float:
        return self.cut

    def reason(self, evidence: Evidence) -> str:
        return f"{compared(evidence.prob[0], self.cut)}; {super().reason(evidence)}"


def scores(cases: Cases, reference: int, areas: Ints) -> Floats:
    """Score (256, A, 256) of every top level, area and bottom level; see ORDERED for the ones that make
    sense."""
    pixels = cases.evidence.above[:, :256].astype(np.int64) * reference // cases.evidence.pixels[:, None]
    return mean_score(triplet_surface(pixels, areas, cases.gain()), cases)


def _ordered() -> Bools:
    level = np.arange(256)
    return ((level[None] <= level[:, None]) & (level[None] >= 1))[:, None, :]


ORDERED = _ordered()
"""(256, 1, 256): bottom is not above top, and at least 1."""
