"""The bytes of probability maps, by hand and as properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from imaging import map_levels
from imaging.map_levels import (
    HALF,
    LOGIT,
    PROBABILITY,
    STEP,
    THRESHOLD,
    TOP,
    encode,
    encode_complement,
    label,
)

ALL = np.arange(TOP + 1)


def sigmoid(logit: object) -> np.ndarray:
    """As networks compute it, in float32."""
    return torch.tensor(logit, dtype=torch.float32).sigmoid().numpy()


@pytest.mark.parametrize(
    ("prob", "level"),
    [
        (0.0, 0), (0.0039, 0), (0.0040, 1), (0.4999, 79), (0.5, 80), (0.5174, 80), (0.5175, 81), (0.75, 95), (0.9975, 165),
        (0.999995, 254), (0.9999953, 255), (1.0, 255), (float("nan"), 0), (-0.1, 0), (1.1, 255),
    ],
)  # fmt: skip
def test_levels_by_hand(prob: float, level: int) -> None:
    """logit .75 = 1.0986: 15.7 steps of .07 above the 80th level."""
    assert encode(np.array([prob]))[0] == encode(np.array(prob)) == level


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_every_level_survives_decoding(kind: type) -> None:
    assert encode(PROBABILITY.astype(kind)).tolist() == ALL.tolist()
    assert encode_complement((1 - PROBABILITY).astype(kind)).tolist() == ALL.tolist()
    assert encode_complement(map_levels.COMPLEMENT).tolist() == ALL.tolist()


def test_tables_are_strictly_ascending_and_interleaved() -> None:
    """Each level is decoded as something between its own threshold and the next one."""
    for table in (LOGIT, THRESHOLD, PROBABILITY):
        assert (np.diff(table) > 0).all()
    assert (THRESHOLD <= PROBABILITY).all()
    assert (PROBABILITY[:-1] < THRESHOLD[1:]).all()
    assert THRESHOLD[HALF] == 0.5


@given(st.lists(st.floats(0, 1, width=32), min_size=2))
def test_encoding_is_monotone(probs: list[float]) -> None:
    levels = encode(np.sort(np.array(probs, np.float32))).astype(int)
    assert (np.diff(levels) >= 0).all()


@given(st.floats(-6, 12.5))
def test_a_cut_at_a_level_is_a_cut_of_the_probability(logit: float) -> None:
    prob = 1 / (1 + np.exp(-logit))
    level = int(encode(np.array(prob)))
    reached = np.log(prob / (1 - prob)) - STEP * (ALL[1:] - HALF)
    clear = np.abs(reached) > 1e-9
    assert ((level >= ALL[1:]) == (prob >= THRESHOLD[1:]))[clear].all()


@given(st.floats(-5.5, 12.2))
def test_a_logit_is_kept_to_half_a_step(logit: float) -> None:
    assert abs(LOGIT[encode(sigmoid([logit]))[0]] - logit) < STEP / 2 + 0.02  # .02: float32 near 1


def test_saturated_maps_keep_their_order() -> None:
    """Equal steps of probability have one level, 255, for all logits above 6.24."""
    logits = np.arange(6.0, 12.01, 0.25)
    levels = encode(sigmoid(logits)).astype(int)
    assert (np.diff(levels) >= 3).all()
    assert len(np.unique(np.rint(255 * sigmoid(logits[1:])))) == 1


def test_labels_tell_levels_apart() -> None:
    words = [label(level) for level in ALL]
    assert len(set(words)) == len(words)
    assert [words[k] for k in (0, 1, 60, 80, 81, 110, 160, 255)] == [
        "0", "0.0040", "0.198", "0.50", "0.52", "0.891", "0.9963", "0.9999952",
    ]  # fmt: skip
    assert sorted(words, key=float) == words
