"""Vectorised draws over patients against drawing the images one by one."""

from __future__ import annotations

import numpy as np
import pytest

from ensemble import metrics
from experiments.statistics.bootstrap import PatientDraws
from experiments.statistics.intervals import standard_error


@pytest.fixture
def table():
    random = np.random.default_rng(0)
    patient = np.array([f"p{i // 3}" for i in range(90)], dtype=object)
    label = random.random(90) < 0.4
    prob = np.round(np.clip(random.normal(0.3 + 0.3 * label, 0.25), 0, 1), 1)  # ties
    dice = np.where(label, random.random(90), random.random(90) < 0.8)
    return patient, label, prob, dice.astype(float)


def test_every_measure_equals_the_drawn_sample(table) -> None:
    patient, label, prob, dice = table
    draws = PatientDraws(patient, 30, seed=1)
    names = np.unique(patient.astype(str))
    ranks = draws.rank_measures(label, prob)
    means, tnr = draws.mean(dice), draws.ratio(dice * ~label, ~label)
    for b in range(30):
        rows = np.concatenate(
            [
                np.flatnonzero(patient == name)
                for name, n in zip(names, draws.counts[b], strict=True)
                for _ in range(int(n))
            ]
        )
        y, p, d = label[rows], prob[rows], dice[rows]
        assert means[b] == pytest.approx(d.mean())
        assert tnr[b] == pytest.approx(metrics.breakdown(d, y).tnr)
        assert ranks["auroc"][b] == pytest.approx(metrics.auroc(y, p))
        assert ranks["average_precision"][b] == pytest.approx(metrics.average_precision(y, p))
        assert ranks["sensitivity_at_95_specificity"][b] == pytest.approx(
            metrics.sensitivity_at_specificity(y, p)
        )


def test_same_seed_same_draws(table) -> None:
    patient, _, _, dice = table
    one, two, other = (PatientDraws(patient, 50, seed).mean(dice) for seed in (0, 0, 1))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_patients_widen_the_interval() -> None:
    """Ten alike images of each patient carry no more than one does."""
    value = np.random.default_rng(0).random(40)
    alike = np.repeat(value, 10)
    patient = np.repeat(np.arange(40).astype(str), 10)
    wide = standard_error(PatientDraws(patient, 1000, 0).mean(alike), 40)
    narrow = standard_error(PatientDraws(np.arange(400).astype(str), 1000, 0).mean(alike), 400)
    assert wide > 2.5 * narrow


def test_patients_are_counted(table) -> None:
    patient, label, _, _ = table
    draws = PatientDraws(patient, 5, 0)
    assert draws.patients() == 30
    assert draws.patients(label) == len(set(patient[label]))
