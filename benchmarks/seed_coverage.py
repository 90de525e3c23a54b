"""How often do the 95 % intervals over seeds and patients contain the true value?

`python -m benchmarks.seed_coverage [--repeats 600]` draws scores of patients under several trainings of known mean, and prints
the share of intervals that contain it, as a Markdown table: of the mean over seeds by experiments.compare, by a crossed
bootstrap (seeds and patients resampled, percentiles) and over patients alone; and of the difference of two recipes that are
equally good.
"""

from __future__ import annotations

import argparse

import numpy as np

from experiments.compare import seed_variance
from experiments.compare.seed_variance import Trainings
from experiments.statistics import intervals
from experiments.statistics.arrays import Floats

COMMON, OWN = 0.35, 0.15
"""Standard deviations of a patient's score: shared by all trainings, and of each training."""
MEAN = 0.5
DRAWS = 200
CASES = [
    (patients, seeds, spread)
    for patients in (200, 1200)
    for seeds in (2, 3, 5)
    for spread in (0.0, 0.01, 0.03)
]


def scores(random: np.random.Generator, patients: int, seeds: int, spread: float, common: Floats) -> Floats:
    """Scores (S, P) of one recipe's trainings, whose means have the standard deviation `spread`."""
    return MEAN + common + random.normal(0, spread, (seeds, 1)) + random.normal(0, OWN, (seeds, patients))


def measured(score: Floats) -> Trainings:
    """The mean of each training with the patients' shares."""
    value = score.mean(axis=1)
    return Trainings(value, (score - value[:, None]) / score.shape[1], score.shape[1])


def crossed_bootstrap(score: Floats, random: np.random.Generator) -> tuple[float, float]:
    """Percentiles of the mean over drawn seeds and drawn patients."""
    weights = [random.multinomial(n, np.full(n, 1 / n), DRAWS) / n for n in score.shape]
    low, high = np.quantile(np.einsum("bs,sp,bp->b", weights[0], score, weights[1]), [0.025, 0.975])
    return float(low), float(high)


def held(random: np.random.Generator, patients: int, seeds: int, spread: float) -> list[bool]:
    """Whether the four intervals of one repeat contain the true value."""
    common = random.normal(0, COMMON, patients)
    one, other = (scores(random, patients, seeds, spread, common) for _ in range(2))
    of = measured(one)
    mean, gap = seed_variance.mean(of), seed_variance.difference(of, measured(other))
    half, alone = (
        intervals.quantile(mean.freedom + 1) * mean.error,
        intervals.quantile(patients) * of.common**0.5,
    )
    low, high = crossed_bootstrap(one, random)
    gap_low, gap_high = seed_variance.difference_interval(gap, patients)
    return [
        abs(mean.value - MEAN) <= half,
        low <= MEAN <= high,
        abs(mean.value - MEAN) <= alone,
        gap_low <= 0 <= gap_high,
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=600)
    repeats = parser.parse_args().repeats
    print(
        "| patients | seeds | SD due to the seed | mean | crossed bootstrap | patients alone | difference |\n"
        + "|---" * 7
        + "|"
    )
    for number, (patients, seeds, spread) in enumerate(CASES):
        random = np.random.default_rng(number)
        share = np.mean([held(random, patients, seeds, spread) for _ in range(repeats)], axis=0)
        cells = [f"{100 * one:.1f} %" for one in share]
        print(f"| {patients:,} | {seeds} | {spread} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
