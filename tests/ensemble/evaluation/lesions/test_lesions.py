"""Contours, connected parts and sizes of small masks, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ensemble.evaluation.lesions import detection, per_image, summary, surface
from ensemble.evaluation.lesions.detection import Match
from experiments.statistics.bootstrap import PatientDraws
from imaging.map_levels import encode


def square(top: int, left: int, side: int, size: int = 12) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_a_contour_is_the_mask_without_its_inside() -> None:
    assert surface.contour(square(2, 2, 4)).sum() == 12
    assert surface.contour(np.ones((3, 3), bool)).sum() == 8  # the image's edge is outside


def test_distances_in_millimetres() -> None:
    """Two single pixels, three columns of 0.5 mm apart."""
    there, back = surface.distances(square(2, 2, 1), square(2, 5, 1), 0.5)
    assert there.tolist() == back.tolist() == [1.5]
    assert surface.surface_dice(there, back) == 1
    assert surface.surface_dice(there, back, 1.0) == 0
    assert surface.hd95(there, back) == 1.5


def test_a_shifted_square() -> None:
    """4 × 4 of 1 mm, a pixel further right: of 12 contour pixels 6 lie on the other contour, 6 are 1 mm off."""
    there, back = surface.distances(square(4, 4, 4), square(4, 5, 4), 1.0)
    assert sorted(there) == sorted(back) == [0] * 6 + [1] * 6
    assert surface.surface_dice(there, back, 0.5) == 0.5
    assert surface.distances(square(0, 0, 3), square(0, 0, 3), 1.0)[0].max() == 0


def test_lesions_are_matched_by_overlap() -> None:
    true = square(1, 1, 3) | square(8, 8, 3)
    predicted = square(1, 2, 3) | square(8, 1, 2)  # one found with IoU 6 / 12, one false
    level = np.zeros((12, 12), np.uint8)
    level[predicted], level[2, 3], level[8, 1] = encode(np.array([0.55, 0.8, 0.6]))
    found = detection.match(predicted, true, level)
    assert found.found.tolist() == pytest.approx([0.8, -np.inf], abs=0.005)
    assert found.false.tolist() == pytest.approx([0.6], abs=0.01)
    assert found.hits == 1
    assert detection.match(square(3, 3, 9), square(1, 1, 3)).hits == 0  # IoU 1 / 89
    assert detection.match(square(0, 0, 0), true).found.tolist() == [-np.inf, -np.inf]
    assert detection.match(true, square(0, 0, 0)).false.tolist() == [1, 1]


def test_the_free_response_curve() -> None:
    matches = [Match(np.array([0.9]), np.array([0.5])), Match(np.array([0.4, -np.inf]), np.array([]))]
    curve = detection.froc(matches)
    assert curve["threshold"].tolist() == [0.9, 0.5, 0.4]
    assert curve["false_positives"].tolist() == [0, 0.5, 0.5]
    assert curve["sensitivity"].tolist() == pytest.approx([1 / 3, 1 / 3, 2 / 3])
    assert detection.threshold_at(curve, 0.5) == 0.4
    assert detection.threshold_at(curve, 0.1) == 0.9
    assert detection.threshold_at(curve.iloc[1:], 0.1) == np.inf


def test_the_half_of_the_image() -> None:
    assert per_image.half(square(1, 1, 3)) == "left"
    assert per_image.half(square(1, 8, 3)) == "right"
    assert per_image.half(square(1, 4, 4)) == "both"


@pytest.fixture
def measured() -> tuple[dict, dict]:
    """A found lesion 1 px too far right, a missed one, an empty image, a false alarm; 0.5 mm a pixel."""
    nothing = np.zeros((12, 12), bool)
    pairs = [
        (square(4, 2, 3), square(4, 1, 3)),
        (nothing, square(8, 8, 2)),
        (nothing, nothing),
        (square(1, 1, 2), nothing),
    ]
    candidates = [detection.match(*pair) for pair in pairs]
    rows = [per_image.measure(*pair, each, 0.5) for pair, each in zip(pairs, candidates, strict=True)]
    return summary.measure(pd.DataFrame(rows), candidates, PatientDraws(np.arange(4), 200, 0))


def test_empty_masks_follow_the_rule(measured: tuple[dict, dict]) -> None:
    value, number = {key: of["value"] for key, of in measured[0].items()}, measured[1]
    assert value["surface_dice_2mm"] == 0.5  # the missed lesion counts as 0
    assert value["hd95_mm"] == 0.5
    assert (number["surface_dice_2mm"], number["hd95_mm"], number["lesion_sensitivity"]) == (2, 1, 2)
    assert (value["side_accuracy"], number["side_accuracy"]) == (1, 1)
    assert value["size_error_mm2"] == value["size_error_relative"] == value["size_error_absolute"] == 0
    assert value["lesion_sensitivity"] == 0.5
    assert value["false_lesions_per_image"] == 0.25
    assert value["froc_0_25"] == 0.5


def test_without_spacing_millimetres_do_not_exist() -> None:
    pair = (square(4, 2, 3), square(4, 1, 3))
    each = detection.match(*pair)
    rows = pd.DataFrame([per_image.measure(*pair, each, float("nan"))])
    found, number = summary.measure(rows, [each], PatientDraws(np.arange(1), 100, 0))
    assert found["surface_dice_2mm"]["value"] is found["hd95_mm"]["value"] is None
    assert found["side_accuracy"]["value"] == 1
    assert number["hd95_mm"] == 0
    assert "percentile, mm | – | 0 images |" in "\n".join(summary.to_markdown(found, number))


def test_no_false_lesion_has_an_upper_limit() -> None:
    """No event among 10 patients: 3.69 / 10."""
    each = detection.match(square(4, 2, 3), square(4, 2, 3))
    rows = pd.DataFrame([per_image.measure(square(4, 2, 3), square(4, 2, 3), each, 0.5)] * 10)
    found, _ = summary.measure(rows, [each] * 10, PatientDraws(np.arange(10), 100, 0))
    measure = found["false_lesions_per_image"]
    assert (measure["value"], measure["low"]) == (0, 0)
    assert measure["high"] == pytest.approx(0.3689, abs=1e-4)
