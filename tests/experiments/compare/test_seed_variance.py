"""Variance by seed and by patient on small tables, computed by hand, and the coverage of the intervals in a small simulation."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from experiments.compare import seed_variance, tables
from experiments.compare.measures import trainings
from experiments.compare.runs import Result
from experiments.compare.seed_variance import Trainings


def images(dice: list[float], label: list[int], prob: list[float] | None = None) -> pd.DataFrame:
    ids = [f"i{k}" for k in range(len(dice))]
    table = pd.DataFrame({"image_id": ids, "patient_id": ids, "label": label, "dice": dice})
    return table if prob is None else table.assign(prob=prob)


def scores(*dice: list[float]) -> Trainings:
    found = trainings([images(one, [1] * len(one)) for one in dice], "kaggle_dice")
    assert found is not None
    return found


def test_seeds_that_differ_by_a_constant_differ_by_the_seed_alone() -> None:
    """Seed 2 is .2 better on every patient: values .3 and .5, MS = .02. The patients' shares are alike in both, so that
    Var = Cov = 4/3 * sum((y - mean)^2)/16 = 4/3 * .05/16 = .0041667, and the seed's variance is MS itself."""
    of = scores([0.15, 0.25, 0.35, 0.45], [0.35, 0.45, 0.55, 0.65])
    assert of.value == pytest.approx([0.3, 0.5])
    assert of.mean_square == pytest.approx(0.02)
    assert of.within == pytest.approx(of.common) == pytest.approx(4 / 3 * 0.05 / 16)
    assert of.seed_variance == pytest.approx(0.02)
    found = seed_variance.mean(of)
    assert found.value == pytest.approx(0.4)
    assert found.error**2 == pytest.approx(0.02 / 2 + 0.05 / 12)
    assert found.freedom == pytest.approx((0.01 + 0.05 / 12) ** 2 / (0.01**2 / 1 + (0.05 / 12) ** 2 / 3))


def test_seeds_that_differ_on_single_patients_differ_by_chance() -> None:
    """Values 1/2 and 1 of two patients: shares (1/4, -1/4) and 0, so Var = (1/4 + 0)/2 = 1/8, Cov = 0, MS = 1/8."""
    of = scores([1.0, 0.0], [1.0, 1.0])
    assert (of.mean_square, of.within, of.common) == (
        pytest.approx(1 / 8),
        pytest.approx(1 / 8),
        pytest.approx(0),
    )
    assert of.seed_variance == pytest.approx(0)
    assert seed_variance.mean(of).error == pytest.approx(1 / 4)


def test_a_difference_is_paired_over_patients() -> None:
    """Both recipes are hard on the same patients: with a constant gap and equal seeds nothing is left but the seeds' variance."""
    one, base = scores([0.5, 0.7, 0.9], [0.6, 0.8, 1.0]), scores([0.2, 0.4, 0.6], [0.3, 0.5, 0.7])
    found = seed_variance.difference(one, base)
    assert found.value == pytest.approx(0.3)
    assert found.by_patient == pytest.approx(0, abs=1e-12)
    assert found.by_seed == pytest.approx(2 * 0.005 / 2)
    assert found.freedom == pytest.approx(2)  # one from each recipe


def test_a_single_training_takes_the_other_recipes_seed_variance() -> None:
    one, base = scores([0.5, 0.7, 0.9]), scores([0.2, 0.4, 0.6], [0.3, 0.5, 0.7])
    found = seed_variance.difference(one, base)
    assert found.by_seed == pytest.approx(0.005 / 2 + 0.005)
    assert found.freedom == pytest.approx(1)


def test_single_trainings_have_the_patients_variance_alone() -> None:
    found = seed_variance.difference(scores([0.5, 0.7, 0.9]), scores([0.2, 0.4, 0.9]))
    assert math.isnan(found.by_seed)
    assert found.error**2 == pytest.approx(np.var([0.3, 0.3, 0.0], ddof=1) / 3)
    assert found.freedom == pytest.approx(2)


def test_without_variation_a_difference_is_not_certain() -> None:
    low, high = seed_variance.difference_interval(
        seed_variance.difference(scores([1.0] * 50), scores([1.0] * 50)), 50
    )
    assert (low, high) == (pytest.approx(-0.0747, abs=1e-3), pytest.approx(0.0747, abs=1e-3))


def test_auroc_of_seeds() -> None:
    """Positives .9 and .4 against negatives .5 and .1: 3 of 4 pairs; a second seed that ranks all rightly: 1."""
    label = [1, 1, 0, 0]
    of = trainings(
        [images([0.0] * 4, label, [0.9, 0.4, 0.5, 0.1]), images([0.0] * 4, label, [0.9, 0.6, 0.5, 0.1])],
        "auroc",
    )
    assert of is not None
    assert of.value == pytest.approx([0.75, 1.0])
    assert of.patients == 2


def test_what_no_table_has_does_not_exist() -> None:
    assert trainings([images([0.5, 0.5], [0, 1])], "auroc") is None
    assert trainings([images([0.5, 0.5], [1, 1])], "tnr") is None


def seeds(name: str, *dice: list[float]) -> Result:
    first, *others = [
        Result(
            name,
            "",
            {"kaggle_dice": {"value": sum(one) / len(one), "low": 0.0, "high": 1.0}},
            images(one, [1] * len(one)),
        )
        for one in dice
    ]
    return Result(first.name, "", first.metrics, first.images, others=others)


@pytest.mark.parametrize(
    ("one", "base", "count", "note"),
    [
        (1, 1, "1 and 1", "one training each: the difference may be due to the seed"),
        (1, 2, "1 and 2", "a was trained once; its seed variance is assumed to equal the other's"),
        (2, 2, "2 and 2", "over seeds and patients"),
    ],
)
def test_a_difference_says_how_many_seeds_it_is_of(one: int, base: int, count: str, note: str) -> None:
    row = tables.difference(
        seeds("a", *[[0.5, 0.7], [0.6, 0.8]][:one]), seeds("b", *[[0.1, 0.3], [0.2, 0.2]][:base])
    )
    assert (row["seeds"], row["note"]) == (count, note)


def test_an_experiment_with_several_seeds_is_one_row_with_their_mean() -> None:
    rows = tables.results([seeds("a", [0.5, 0.7], [0.7, 0.9])])
    assert rows["seeds"].tolist() == [2]
    assert rows["kaggle_dice"].tolist() == pytest.approx([0.7])
    assert 0 < rows["kaggle_dice_low"].item() < 0.5  # one degree of freedom


@pytest.mark.parametrize("spread", [0.0, 0.1])
def test_the_interval_of_a_difference_holds_it_with_and_without_seed_variance(spread: float) -> None:
    """Three seeds each of two recipes that are equally good; with a spread of .1 an interval over the patients alone holds 0 in
    few samples."""
    random, covered, repeats = np.random.default_rng(0), 0, 200
    for _ in range(repeats):
        case, noise = random.normal(0, 0.2, 60), random.normal(0, 0.1, (2, 3, 60))
        dice = 0.5 + case + random.normal(0, spread, (2, 3, 1)) + noise
        one, base = (scores(*recipe.tolist()) for recipe in dice)
        low, high = seed_variance.difference_interval(seed_variance.difference(one, base), 60)
        covered += low <= 0 <= high
    assert 0.91 <= covered / repeats <= 1
