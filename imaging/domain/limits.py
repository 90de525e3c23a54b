"""Limits within which a study is like the training data of a bundle.

For each family of picture statistics (imaging.domain.statistics) the record holds a probabilistic principal component model
(Tipping and Bishop 1999): mean, leading directions with their variances, one variance for all the others. The score of a
picture is its Mahalanobis distance under that model. The overall score is the sum of the families' log scores, each
standardised. A score above its limit gives a warning. Limits are quantiles of cross-fitted scores of the training data, so that
at most three in a hundred pictures like them get a warning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imaging.decoding.radiograph import Facts
from imaging.domain.plausibility import CHILD_YEARS, FRONTAL, header_warnings, quarter_turns
from imaging.domain.statistics import FAMILIES, describe
from imaging.io.config import Settings, validate
from imaging.io.files import read_json, write_json

FILE = "input_limits.json"
FALSE_ALARMS = 0.03
"""Share of pictures like the training data that get a warning, at most: half for the families, half for the overall score."""
COMPONENTS = 20
"""Most directions per family; the layout has 256 numbers."""
PER_COMPONENT = 10
"""Fewest pictures per direction."""
MOST, FEWEST = 4000, 20
"""Most pictures that the record is made of, and fewest."""
RARE = 0.01
"""An age group or a view with a smaller share of the training data counts as not trained on."""
PARTS = 5
"""Parts of the cross-fitting."""
TINY = 1e-9

NAMES = {"grey": "grey levels", "layout": "layout", "texture": "texture"}


class Family(Settings):
    """The model of one family of numbers."""

    mean: list[float]
    directions: list[list[float]]
    """(K, D), orthonormal."""
    variances: list[float]
    """(K,), along the directions."""
    rest: float
    """Variance along every other direction."""
    limit: float = 0.0
    """Largest score without a warning."""
    log_mean: float = 0.0
    log_spread: float = 1.0
    """Mean and standard deviation of the logarithms of the cross-fitted scores."""

    def score(self, numbers: NDArray[np.float64]) -> float:
        """Mahalanobis distance of a picture's numbers (D,), divided by the square root of D: about 1 for training data."""
        return float(_scores(self, numbers[None])[0])


class Counts(Settings):
    """Counts of training images by facts from their files."""

    images: int
    views: dict[str, int]
    sexes: dict[str, int]
    ages: dict[str, int]
    """By decade: `0`, `10`, … the first year of each."""
    children: int
    """Images of patients under 16 years, among those with an age."""


class InputLimits(Settings):
    """input_limits.json of a bundle."""

    version: Literal[1] = 1
    counts: Counts
    families: dict[str, Family]
    """Empty where there were too few images."""
    overall_limit: float = 0.0
    """Largest sum of the families' standardised log scores without a warning."""
    like_holdout: dict[str, int]
    """On the locked hold-out: `images`, and how many of them have a warning (`warned`)."""

    def unlike(self, square: NDArray[np.uint8]) -> dict[str, float]:
        """How far a prepared picture uint8 (S, S) is beyond the limits: score / limit for each family above its limit.

        `overall`, with the sum itself, when only the sum is above its limit. Empty for a picture like the training data.
        """
        if not self.families:
            return {}
        numbers = describe(square)
        scores = {name: family.score(numbers[name]) for name, family in self.families.items()}
        found = {
            name: scores[name] / family.limit
            for name, family in self.families.items()
            if scores[name] > family.limit
        }
        overall = sum(_standard(family, scores[name]) for name, family in self.families.items())
        return found or ({"overall": float(overall)} if overall > self.overall_limit else {})

    def warnings(self, square: NDArray[np.uint8], facts: Facts) -> tuple[str, ...]:
        """What makes a study unlike the training data, each as `CODE: sentence`."""
        found = [self._sentence(name, value) for name, value in self.unlike(square).items()]
        ages, children = sum(self.counts.ages.values()), self.counts.children
        if facts.age is not None and facts.age < CHILD_YEARS and children < RARE * max(ages, 1):
            number = f"{children} of {ages}" if ages else "an unknown number of"
            found.append(
                f"AGE: {facts.age} years old, and {number} training images are of children under {CHILD_YEARS}"
            )
        views = sum(self.counts.views.values())
        if facts.view in FRONTAL and views and self.counts.views.get(facts.view, 0) < RARE * views:
            found.append(f"VIEW: the view is {facts.view}, which almost none of the training images have")
        return tuple(found)

    def _sentence(self, name: str, value: float) -> str:
        if name == "overall":
            values = f"score {value:.1f}, limit {self.overall_limit:.1f}"
            return f"UNLIKE: grey levels, layout and texture together are unlike the training data ({values})"
        return f"UNLIKE-{name.upper()}: {NAMES[name]} unlike the training data ({value:.1f} times the limit)"

    def save(self, path: str | Path) -> None:
        """Write the record as JSON."""
        write_json(path, self.model_dump(mode="json"))

    @classmethod
    def load(cls, path: str | Path) -> InputLimits:
        """Read a record; ValueError names what is wrong."""
        return validate(cls, read_json(path), "")


@dataclass(frozen=True)
class Domain:
    """What a predictor can judge about a study: chest radiographs in general, and its own training data."""

    chest: bool = False
    """Whether the networks are for frontal chest radiographs."""
    training: InputLimits | None = None
    """None for bundles without a record."""

    def turns(self, facts: Facts) -> int:
        """Counter-clockwise quarter turns after which the networks see a study upright."""
        return quarter_turns(facts) if self.chest else 0

    def warned(self, square: NDArray[np.uint8], facts: Facts) -> Facts:
        """The facts with all warnings about a study: square is the picture as the networks see it, upright."""
        found = header_warnings(facts, turned=True) if self.chest else ()
        if self.training is not None:
            found += self.training.warnings(square, facts)
        elif self.chest and facts.age is not None and facts.age < CHILD_YEARS:
            found += (f"AGE: {facts.age} years old, and the ages in the training data are not recorded",)
        return replace(facts, warnings=(*facts.warnings, *found))


def make(
    index: pd.DataFrame, images: NDArray[np.uint8], train: Sequence[int], holdout: Sequence[int]
) -> InputLimits:
    """The record of a run: index and images of the prepared data, the rows trained on and those locked away."""
    rows, locked = _sample(train), _sample(holdout)
    families, overall = fitted([describe(images[row]) for row in rows]) if len(rows) >= FEWEST else ({}, 0.0)
    made = InputLimits(
        counts=counts(index.iloc[list(train)]),
        families=families,
        overall_limit=overall,
        like_holdout={"images": len(locked), "warned": 0},
    )
    warned = sum(bool(made.unlike(images[row])) for row in locked)
    return made.model_copy(update={"like_holdout": {"images": len(locked), "warned": warned}})


def fitted(pictures: Sequence[dict[str, NDArray[np.float64]]]) -> tuple[dict[str, Family], float]:
    """The models of all families and the overall limit, from the numbers of at least FEWEST pictures."""
    families, total = {}, np.zeros(len(pictures))
    for name in FAMILIES:
        numbers = np.stack([picture[name] for picture in pictures])
        scores = _cross_fitted(numbers)
        logs = np.log(scores + TINY)
        facts = {
            "limit": _limit(scores, FALSE_ALARMS / 2 / len(FAMILIES)),
            "log_mean": float(logs.mean()),
            "log_spread": float(logs.std()) + TINY,
        }
        families[name] = _model(numbers).model_copy(
            update={key: _short(value) for key, value in facts.items()}
        )
        total += [_standard(families[name], score) for score in scores]
    return families, _short(_limit(total, FALSE_ALARMS / 2))


def _limit(scores: NDArray[np.float64], share: float) -> float:
    return float(np.quantile(scores, 1 - share, method="higher"))


def _standard(family: Family, score: float) -> float:
    return (float(np.log(score + TINY)) - family.log_mean) / family.log_spread


def _cross_fitted(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """The score (N,) of each picture under a model of the other parts' numbers (N, D)."""
    part, scores = np.arange(len(numbers)) % PARTS, np.empty(len(numbers))
    for k in range(PARTS):
        scores[part == k] = _scores(_model(numbers[part != k]), numbers[part == k])
    return scores


def counts(index: pd.DataFrame) -> Counts:
    """Count the rows of a prepared index by view, sex and age."""
    ages = index["age"].dropna().astype(int)
    return Counts(
        images=len(index),
        views=_counted(index["view"]),
        sexes=_counted(index["sex"]),
        ages=_counted(ages // 10 * 10),
        children=int((ages < CHILD_YEARS).sum()),
    )


def _model(numbers: NDArray[np.float64]) -> Family:
    count, size = numbers.shape
    mean = numbers.mean(axis=0)
    _, singular, directions = np.linalg.svd(numbers - mean, full_matrices=False)
    variances = singular**2 / max(count - 1, 1)
    kept = max(1, min(COMPONENTS, size - 1, count // PER_COMPONENT))
    floor = 1e-6 + 1e-4 * float(variances.sum()) / size
    return Family(
        mean=[_short(value) for value in mean],
        directions=[[_short(value) for value in row] for row in directions[:kept]],
        variances=[_short(max(value, floor)) for value in variances[:kept]],
        rest=_short(max(float(variances[kept:].sum()) / (size - kept), floor)),
    )


def _scores(family: Family, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores (N,) of numbers (N, D)."""
    away = numbers - np.array(family.mean)
    along = away @ np.array(family.directions).T
    rest = np.maximum((away**2).sum(axis=1) - (along**2).sum(axis=1), 0)
    squared = (along**2 / np.array(family.variances)).sum(axis=1) + rest / family.rest
    return np.asarray(np.sqrt(squared / numbers.shape[1]))


def _sample(rows: Sequence[int]) -> list[int]:
    """At most MOST of the rows, evenly over all of them."""
    places = np.linspace(0, len(rows) - 1, min(len(rows), MOST)).round().astype(int)
    return [int(rows[place]) for place in places]


def _counted(values: Any) -> dict[str, int]:
    return {str(value): int(count) for value, count in values.dropna().value_counts().sort_index().items()}


def _short(number: float) -> float:
    """Six digits: the file stays small."""
    return float(f"{number:.6g}")
