"""Variance due to the training seed and due to the patients, separated; interval of a mean over seeds and of a difference of
two means.

All seeds of a recipe are measured on the same patients. Seeds are to trainings what readers are to a reader study, and the
method is that of reader studies (Obuchowski & Rockette 1995, degrees of freedom by Hillis 2007). The mean of S seeds has the
variance

    MS / S + Cov

MS: variance of the seeds' values; Cov: covariance over patients of two seeds' values, averaged over pairs. MS contains the
spread of the trainings and the part of the patients' sampling variation that two trainings do not share. For two recipes on the
same patients the covariances between them are subtracted. Few seeds give few degrees of freedom and wide intervals; a bootstrap
of three seeds is too narrow (docs/seeds.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from experiments.statistics import intervals
from experiments.statistics.arrays import Floats
from experiments.statistics.intervals import Ends


@dataclass(frozen=True)
class Trainings:
    """A measure of the trainings of one recipe: value (S,) of each seed, share (S, P) of each patient in its deviation.

    patients: how many of the P the measure is taken over; the shares of the others are 0."""

    value: Floats
    share: Floats
    patients: int

    def covariance(self, other: Trainings) -> Floats:
        """Covariance over patients of the seeds' values (S,) and another recipe's (T,): (S, T)."""
        return np.asarray(self.share @ other.share.T * self.patients / max(self.patients - 1, 1))

    @property
    def within(self) -> float:
        """Variance over patients of one seed's value, averaged over seeds."""
        return float(np.diag(self.covariance(self)).mean())

    @property
    def common(self) -> float:
        """Covariance over patients of two seeds' values; of a single seed its variance."""
        seeds = len(self.value)
        if seeds == 1:
            return self.within
        return float((self.covariance(self).sum() - seeds * self.within) / (seeds * (seeds - 1)))

    @property
    def mean_square(self) -> float:
        """Variance of the seeds' values; NaN for a single seed."""
        return float(self.value.var(ddof=1)) if len(self.value) > 1 else math.nan

    @property
    def seed_variance(self) -> float:
        """Variance between trainings on unlimited patients, at least 0; NaN for a single seed."""
        return max(self.mean_square - (self.within - self.common), 0.0) if len(self.value) > 1 else math.nan


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, or a difference of two: value, standard error, degrees of freedom, and the two parts of error².

    by_seed is NaN where no recipe has two seeds: the error is then due to the patients alone."""

    value: float
    error: float
    freedom: float
    by_patient: float
    by_seed: float


def mean(one: Trainings) -> Estimate:
    """The mean over the seeds of one recipe, for other patients and other seeds."""
    return _combined([(1, one)])


def difference(one: Trainings, base: Trainings) -> Estimate:
    """Mean of `one` minus mean of `base`: paired over patients, unpaired over seeds.

    A recipe trained once is given the seed variance of the other; if both were trained once, only the patients count.
    """
    return _combined([(1, one), (-1, base)])


def _combined(signed: Sequence[tuple[int, Trainings]]) -> Estimate:
    value = sum(sign * float(of.value.mean()) for sign, of in signed)
    by_patient = sum(
        first * second * (a.common if a is b else float(a.covariance(b).mean()))
        for (first, a), (second, b) in product(signed, signed)
    )
    by_patient, patients = max(by_patient, 0.0), signed[0][1].patients
    parts = _seed_parts([of for _, of in signed])
    by_seed = sum(part for part, _ in parts)
    total = by_patient + by_seed
    spread = sum(part**2 / freedom for part, freedom in parts) + by_patient**2 / max(patients - 1, 1)
    freedom = total**2 / spread if spread > 0 else max(patients - 1, 1)
    return Estimate(value, math.sqrt(total), freedom, by_patient, by_seed if parts else math.nan)


def _seed_parts(recipes: Sequence[Trainings]) -> list[tuple[float, int]]:
    """Independent estimates of the seeds' part of the variance, each with its degrees of freedom; [] where all have one seed."""
    several = [of for of in recipes if len(of.value) > 1]
    borrowed = sum(several[0].seed_variance for of in recipes if len(of.value) == 1) if several else 0.0
    return [
        (of.mean_square / len(of.value) + (borrowed if of is several[0] else 0.0), len(of.value) - 1)
        for of in several
    ]


def rate_interval(of: Estimate, patients: int) -> Ends:
    """95 % interval of a mean in [0, 1]: Wilson's at the effective number."""
    return intervals.score_interval(of.value, of.error, patients, of.freedom)


def area_interval(of: Estimate, patients: int) -> Ends:
    """95 % interval of a mean area under a curve: on the logit scale."""
    return intervals.logit_interval(of.value, of.error, patients, of.freedom)


def difference_interval(of: Estimate, patients: int) -> Ends:
    """95 % interval of a difference in [-1, 1]; without any variation that of a rate of 0, which is not certain either."""
    if math.isnan(of.value) or patients < 2:
        return intervals.UNKNOWN
    if of.error > 0:
        half = intervals.quantile(of.freedom + 1) * of.error
    else:
        half = intervals.score_interval(0.0, 0.0, patients)[1]
    return max(of.value - half, -1.0), min(of.value + half, 1.0)
