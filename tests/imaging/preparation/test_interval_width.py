"""The predicted width of an interval, by hand and against simulated scores."""

from __future__ import annotations

import math

import numpy as np
import pytest

from imaging.preparation.interval_width import half_width, sentence


@pytest.mark.parametrize(
    ("images", "score", "expected"),
    [
        (2409, 0.8679, 0.0135),  # 1.96 x sqrt(.8679 x .1321 / 2409)
        (100, 0.5, 0.0980),
        (100, 1.0, 0.0),
        (0, 0.5, math.inf),
    ],
)
def test_half_width(images: int, score: float, expected: float) -> None:
    assert half_width(images, score) == pytest.approx(expected, abs=5e-5)


def test_scores_of_a_good_model_are_no_wider_and_nearly_as_wide() -> None:
    """Negatives score 0 or 1, positives 0 or a Dice around .7; half widths from the drawn scores' own spread."""
    random = np.random.default_rng(0)
    negative = (random.random(80_000) < 0.96).astype(float)
    positive = random.beta(5, 2, 20_000) * (random.random(20_000) < 0.85)
    scores = np.concatenate([negative, positive])
    own = 1.96 * scores.std() / np.sqrt(1000)
    assert 0.8 * half_width(1000, scores.mean()) < own <= half_width(1000, scores.mean())


def test_the_sentence() -> None:
    assert "2,409 images; a Kaggle Dice of 0.8679 will have a 95 % interval of about ±0.014" in sentence(2409)
    assert "too few" in sentence(29)
    with pytest.raises(ValueError, match="score 2 must be from 0 to 1"):
        half_width(10, 2)
