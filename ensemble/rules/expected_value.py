"""Submit a mask iff it is expected to earn more than leaving the image empty.

With probability p of a pneumothorax and expected Dice D of our mask if there is one, a mask earns p·D and
an empty mask 1 − p. So a mask pays iff p·D > 1 − p, that is p > 1/(1 + D): a poorer mask needs a
higher probability. D is regressed for each image."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from pydantic import Field
from scipy.special import expit

from ensemble.evidence.evidence import Cases, Evidence
from ensemble.evidence.features import MapSums, map_sums, mask_features
from ensemble.evidence.histograms import NOTHING
from ensemble.evidence.logistic import Logistic, fit
from ensemble.rules.base import LEVEL_RADIUS, Rule, compared, cut_where
from experiments.statistics.arrays import Bools, Floats, Ints
from experiments.statistics.search_surface import choose
from imaging.map_levels import TOP, label

LEVELS = np.arange(4, 253, 4)
"""Levels at which a mask may be cut."""
FEW = np.arange(16, 241, 16)
"""Levels to choose from where each image has its own level."""


def worth_it(prob: Floats, dice: Floats) -> Bools:
    """p > 1/(1 + D), elementwise."""
    return prob > 1.0 / (1.0 + dice)


class ExpectedValue(Rule):
    """Submit iff p > 1/(1 + D), D regressed on what the map shows; mask: pixels at or above one level for
    all images."""

    kind: Literal["expected_value"] = "expected_value"
    level: int = Field(ge=1, le=255)
    """Level of the mask."""
    dice: Logistic
    """Expected Dice of a mask at that level, given that there is a pneumothorax; strictly between 0 and 1."""

    @classmethod
    def fit(cls, cases: Cases, reference: int) -> Self:
        """For each level fit D on the positive images and score the rule; the level from the smoothed search surface."""
        sums, dice = map_sums(cases.evidence), cases.dice
        rules = [cls(level=int(k), dice=_fit_dice(cases, dice, int(k), sums)) for k in LEVELS]
        score = [cases.score(rule._thresholds(cases.evidence, sums)) for rule in rules]
        return rules[choose(np.array(score), (LEVEL_RADIUS // 4,))[0]]

    def expected_dice(self, evidence: Evidence, sums: MapSums | None = None) -> Floats:
        """D (N,) of the masks that would be submitted."""
        return self.dice.prob(mask_features(evidence, self.level, sums or map_sums(evidence)))

    def thresholds(self, evidence: Evidence) -> Ints:
        return self._thresholds(evidence, map_sums(evidence))

    def _thresholds(self, evidence: Evidence, sums: MapSums) -> Ints:
        some = evidence.above[:, self.level] > 0
        return cut_where(some & worth_it(evidence.prob, self.expected_dice(evidence, sums)), self.level)

    def least_prob(self) -> float:
        """See Rule: 1/(1 + D) at the largest D that the regression can give."""
        return least_prob(self.dice)

    def needed(self, evidence: Evidence) -> float | None:
        """See Rule: 1/(1 + D)."""
        dice = float(self.expected_dice(evidence)[0])
        return 1 / (1 + dice) if evidence.above[0, self.level] else None

    def reason(self, evidence: Evidence) -> str:
        if not evidence.above[0, self.level]:
            return f"{evidence.prob[0]:.2f}, but no pixel reaches {label(self.level)}"
        return reason(float(evidence.prob[0]), float(self.expected_dice(evidence)[0]))


class ExpectedValuePerImage(Rule):
    """As ExpectedValue, but each image's mask is cut where its own expected Dice is largest."""

    kind: Literal["expected_value_per_image"] = "expected_value_per_image"
    dice: Logistic
    """Expected Dice of a mask at any of FEW's levels, from what the map shows and the level itself."""

    @classmethod
    def fit(cls, cases: Cases, reference: int) -> Self:
        """One regression on every positive image at every level where it has a mask."""
        evidence, sums, dice = cases.evidence, map_sums(cases.evidence), cases.dice
        tables, targets = [], []
        for level in FEW:
            rows = np.flatnonzero(cases.label & (evidence.above[:, level] > 0))
            table = _with_level(evidence, int(level), sums)
            tables.append({name: column[rows] for name, column in table.items()})
            targets.append(dice[rows, level])
        pooled = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
        return cls(dice=fit(pooled, np.concatenate(targets)))

    def best(self, evidence: Evidence) -> tuple[Ints, Floats]:
        """Level (N,) of largest expected Dice, and that Dice (0 where no pixel reaches any level)."""
        sums = map_sums(evidence)
        dice = np.stack([self.dice.prob(_with_level(evidence, int(k), sums)) for k in FEW], axis=1)
        dice = np.where(evidence.above[:, FEW] > 0, dice, 0.0)
        place = dice.argmax(axis=1)
        return FEW[place].astype(np.int64), dice[np.arange(len(evidence)), place]

    def thresholds(self, evidence: Evidence) -> Ints:
        level, dice = self.best(evidence)
        return np.where((dice > 0) & worth_it(evidence.prob, dice), level, NOTHING)

    def least_prob(self) -> float:
        return least_prob(self.dice)

    def needed(self, evidence: Evidence) -> float | None:
        """See Rule: 1/(1 + D)."""
        dice = float(self.best(evidence)[1][0])
        return 1 / (1 + dice) if dice else None

    def reason(self, evidence: Evidence) -> str:
        _, dice = self.best(evidence)
        if not dice[0]:
            return f"{evidence.prob[0]:.2f}, but no pixel reaches {label(FEW[0])}"
        return reason(float(evidence.prob[0]), float(dice[0]))


def least_prob(dice: Logistic) -> float:
    """1/(1 + D) at the largest D that this regression can give, slightly lower to be safe from rounding."""
    highest = expit(min(dice.highest_logit(), 30.0))
    return float(1.0 / (1.0 + highest)) - 1e-9


def reason(prob: float, dice: float) -> str:
    """The comparison in words."""
    return f"{compared(prob, 1 / (1 + dice))} for a mask expected to overlap {dice:.2f}"


def _fit_dice(cases: Cases, dice: Floats, level: int, sums: MapSums) -> Logistic:
    """Regress Dice at a level on the positive images that have a mask there."""
    rows = np.flatnonzero(cases.label & (cases.evidence.above[:, level] > 0))
    table = mask_features(cases.evidence, level, sums)
    return fit({name: column[rows] for name, column in table.items()}, dice[rows, level])


def _with_level(evidence: Evidence, level: int, sums: MapSums) -> dict[str, Floats]:
    """The mask's features, and the level with its square: the best cut lies between the ends."""
    at = np.full(len(evidence), level / TOP)
    return {**mask_features(evidence, level, sums), "level": at, "level_squared": at**2}
