"""On images whose best answer is known, the expected-value rule finds it and the triplet cannot."""

from __future__ import annotations

import pytest

from ensemble.gallery import simulation


@pytest.fixture(scope="module")
def regret() -> dict[str, float]:
    table = simulation.compare(images=6000, seed=11)
    return dict(zip(table["rule"], table["regret"], strict=True))


@pytest.mark.parametrize("rule", ["expected_value", "expected_value_per_image"])
def test_expected_value_reaches_the_best_possible(regret, rule) -> None:
    assert 0 <= regret[rule] < 0.002


@pytest.mark.parametrize("rule", ["triplet", "gate", "quota"])
def test_others_stay_behind(regret, rule) -> None:
    assert regret[rule] > 0.003


def test_nothing_beats_the_best_possible(regret) -> None:
    assert min(regret.values()) >= 0
