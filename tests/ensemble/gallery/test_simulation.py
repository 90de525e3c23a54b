"""On images whose best answer is known, the expected-value rule finds it and the triplet cannot."""

from __future__ import annotations

import pytest

from ensemble.gallery import simulation


@pytest.fixture(scope="module")
def behind() -> dict[str, float]:
    table = simulation.compare(images=6000, seed=11)
    return dict(zip(table["rule"], table["behind"], strict=True))


@pytest.mark.parametrize("rule", ["expected_value", "expected_value_per_image"])
def test_expected_value_reaches_the_best_possible(behind, rule) -> None:
    assert 0 <= behind[rule] < 0.002


@pytest.mark.parametrize("rule", ["triplet", "gate", "quota"])
def test_others_stay_behind(behind, rule) -> None:
    assert behind[rule] > 0.003


def test_nothing_beats_the_best_possible(behind) -> None:
    assert min(behind.values()) >= 0
