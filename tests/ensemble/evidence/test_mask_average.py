"""Ensembles of mask models, and the last touches to a mask."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ensemble.decision.mask_weights import learn_weights
from ensemble.decision.postprocess import PostProcessing
from ensemble.evidence.mask_average import MaskEnsemble
from imaging.map_levels import PROBABILITY, encode

ALL_LEVELS = np.arange(256, dtype=np.uint8).reshape(16, 16)


def flat(prob: float, side: int = 2) -> np.ndarray:
    """A map of one probability."""
    return np.full((side, side), encode(np.array(prob)))


@pytest.mark.parametrize("average", ["probability", "logit", "centred"])
@pytest.mark.parametrize("level", [ALL_LEVELS, ALL_LEVELS[:8, :8]])
def test_a_ensemble_of_one_is_its_member_exactly(average, level) -> None:
    ensemble = MaskEnsemble(average=average, weights={"u": 1.0}, best_levels={"u": {3: 90}})
    combined, agreement = ensemble.combine({"u": {3: level}})
    assert np.array_equal(combined, level)
    assert agreement == 1.0


def test_weighted_means_by_hand() -> None:
    """Means of probabilities: (.4 + .8) / 2 = .6, and half of it beside a map of nothing."""
    maps = {"u": {0: flat(0.4), 1: flat(0.8)}, "v": {0: flat(0.0)}}
    combined, agreement = MaskEnsemble(weights={"u": 0.5, "v": 0.5}).combine(maps)
    assert np.unique(combined).tolist() == [encode(np.array(0.3))]
    assert agreement == 0.0


def test_means_of_maps_near_1_keep_their_digits() -> None:
    """1 - 1e-3 and 1 - 1e-5: their mean is 1 - 5.05e-4."""
    combined, _ = MaskEnsemble(weights={"u": 1.0}).combine({"u": {0: flat(1 - 1e-3), 1: flat(1 - 1e-5)}})
    assert abs(int(combined[0, 0]) - int(encode(np.array(1 - 5.05e-4)))) <= 1
    same = {"u": dict.fromkeys(range(15), ALL_LEVELS)}
    assert np.array_equal(MaskEnsemble(weights={"u": 1.0}).combine(same)[0], ALL_LEVELS)


def test_logits_give_more_to_certainty() -> None:
    maps = {"u": {0: np.full((2, 2), 254, np.uint8), 1: np.full((2, 2), 64, np.uint8)}}
    plain, _ = MaskEnsemble(weights={"u": 1.0}).combine(maps)
    logit, _ = MaskEnsemble(average="logit", weights={"u": 1.0}).combine(maps)
    assert plain[0, 0] == encode(np.array((PROBABILITY[254] + PROBABILITY[64]) / 2))
    assert logit[0, 0] == 159  # a mean of logits is one of levels


def test_centring_lets_each_fold_keep_its_own_edge() -> None:
    """Two folds that draw the same edge at levels 60 and 140: their centred mean has it at the mean of both."""
    edge = np.tile(np.arange(0, 64, dtype=np.uint8), (64, 1))
    low, high = edge + 30, edge + 110  # column 30 stands at 60 and 140
    ensemble = MaskEnsemble(average="centred", weights={"u": 1.0}, best_levels={"u": {0: 60, 1: 140}})
    combined, _ = ensemble.combine({"u": {0: low, 1: high}})
    assert ensemble.centre == 100
    assert (combined[0] >= 100).argmax() == 30
    alone, _ = ensemble.combine({"u": {0: low}})
    assert (alone[0] >= 100).argmax() == 30


def test_sizes_meet_at_the_largest() -> None:
    small, large = flat(0.4, 4), flat(0.8, 8)
    combined, agreement = MaskEnsemble(weights={"u": 0.25, "v": 0.75}).combine(
        {"u": {0: small}, "v": {0: large}}
    )
    assert combined.shape == (8, 8)
    assert np.unique(combined).tolist() == [encode(np.array(0.7))]
    assert agreement == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weights": {"u": 0.5, "v": 0.6}}, "add up to 1"),
        ({"weights": {"u": 1.5, "v": -0.5}}, "must not be negative"),
        ({"weights": {"u": 1.0}, "average": "centred"}, "needs best_levels of u"),
    ],
)
def test_senseless_ensembles_are_refused(values, message) -> None:
    with pytest.raises(ValueError, match=message):
        MaskEnsemble(**values)


def test_missing_members_are_named() -> None:
    level = np.zeros((2, 2), np.uint8)
    with pytest.raises(ValueError, match="no maps of v; the decision was fitted with u, v"):
        MaskEnsemble(weights={"u": 0.5, "v": 0.5}).combine({"u": {0: level}})
    with pytest.raises(ValueError, match=r"no best level of u fold 7; known folds: \[0\]"):
        MaskEnsemble(average="centred", weights={"u": 1.0}, best_levels={"u": {0: 9}}).combine(
            {"u": {7: level}}
        )


def test_weights_from_squared_error() -> None:
    # truth y = (1, 0); member 0 says it exactly, member 1 the opposite
    stack, truth = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1.0, 0.0])
    a, b, c = stack @ stack.T, stack @ truth, float(truth @ truth)
    assert learn_weights(a, b, c, 0.0).tolist() == pytest.approx([1.0, 0.0], abs=1e-4)
    assert abs(learn_weights(a, b, c, 100.0)[0] - 0.5) < 0.02


def test_small_parts_holes_and_growth() -> None:
    mask = np.zeros((40, 40), bool)
    mask[5:15, 5:15] = True
    mask[8:10, 8:10] = False  # a hole of 4
    mask[30:32, 30:32] = True  # a part of 4
    reference = mask.size
    kept = PostProcessing(min_component=5, reference=reference)(mask)
    assert kept.sum() == 96
    assert PostProcessing(min_component=4, reference=reference)(mask).sum() == 100
    assert PostProcessing(fill_holes=True, reference=reference)(mask).sum() == 104
    grown = PostProcessing(min_component=5, fill_holes=True, dilate=1, reference=reference)(mask)
    assert grown.sum() == 100 + 40
    assert PostProcessing(reference=reference)(mask) is mask


def test_sizes_follow_the_image() -> None:
    """The same lesion at half the side: a quarter of the pixels, half the growth."""
    finish = PostProcessing(min_component=100, dilate=4, reference=80 * 80)
    mask = np.zeros((80, 80), bool)
    mask[20:40, 20:40] = True
    mask[60:68, 60:68] = True  # 64 reference pixels: removed
    half = cv2.resize(mask.astype(np.uint8), (40, 40), interpolation=cv2.INTER_NEAREST).astype(bool)
    large, small = finish(mask), finish(half)
    assert large.any()
    assert not large[55:, 55:].any()
    assert not small[27:, 27:].any()
    assert large.sum() / mask.size == pytest.approx(small.sum() / half.size, rel=0.08)


def test_a_hole_open_to_the_edge_is_none() -> None:
    mask = np.ones((6, 6), bool)
    mask[0:3, 2] = False
    assert np.array_equal(PostProcessing(fill_holes=True)(mask), mask)
