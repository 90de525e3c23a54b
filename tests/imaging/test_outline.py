"""Outlines lie on the mask's edge, of single pixels and holes too, and can be drawn back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaging import outline
from imaging.outline import corners, draw, polygons


def filled(shape: tuple[int, int], found: list[np.ndarray]) -> np.ndarray:
    """The mask inside polygons, by the even-odd rule, sampled at the pixels' centres, 16 subpixels a side."""
    corners = [np.rint((polygon - 0.5) * 16).astype(np.int32) for polygon in found]
    return cv2.fillPoly(np.zeros(shape, np.uint8), corners, 1, shift=4).astype(bool)


def test_a_rectangle_by_hand() -> None:
    mask = np.zeros((10, 12), bool)
    mask[2:5, 3:9] = True
    (found,) = polygons(mask)
    # a quarter of a pixel inside the edges at x 3 and 9, y 2 and 5
    assert sorted(map(tuple, found.tolist())) == [(3.25, 2.25), (3.25, 4.75), (8.75, 2.25), (8.75, 4.75)]


def test_single_pixels_in_the_corners_are_polygons() -> None:
    mask = np.zeros((5, 7), bool)
    mask[0, 0] = mask[4, 6] = True
    found = polygons(mask)
    assert len(found) == 2
    assert all(len(polygon) == 4 for polygon in found)
    assert np.array_equal(filled(mask.shape, found), mask)


def test_a_hole_has_an_outline_of_its_own() -> None:
    mask = np.ones((9, 9), bool)
    mask[3:6, 3:6] = False
    assert len(polygons(mask)) == 2


def test_an_empty_mask_has_none() -> None:
    assert polygons(np.zeros((4, 4), bool)) == []


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_the_polygons_hold_the_mask(seed: int) -> None:
    random = np.random.default_rng(seed)
    smooth = cv2.GaussianBlur(random.random((60, 80)).astype(np.float32), (0, 0), 5)
    mask = smooth > np.quantile(smooth, 0.8)
    again = filled(mask.shape, polygons(mask))
    edge = cv2.dilate(mask.view(np.uint8), np.ones((3, 3))) != cv2.erode(mask.view(np.uint8), np.ones((3, 3)))
    assert np.array_equal(again[~edge], mask[~edge])


def test_points_fit_into_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.zeros((200, 200), bool)
    for k in range(100):  # a comb: every tooth has corners
        mask[: 50 + 37 * k % 140, 2 * k] = True
    mask[0] = True
    assert max(map(len, polygons(mask))) > 60
    monkeypatch.setattr(outline, "MAX_VERTICES", 60)
    assert max(map(len, polygons(mask))) <= 60


@pytest.mark.parametrize(
    ("rows", "turns"),
    [
        (["#"], 4),
        (["##", "##"], 4),
        (["##", "#."], 6),
        (["#.", ".#"], 7),  # the middle is one point, where two outlines turn
        (["#####", "#...#", "#####"], 8),
        (["..", ".."], 0),
    ],
)
def test_corners_by_hand(rows: list[str], turns: int) -> None:
    assert corners(np.array([[pixel == "#" for pixel in row] for row in rows])) == turns


@pytest.mark.parametrize("step", [1, 2])
def test_a_mask_of_noise_has_a_coarse_outline(step: int) -> None:
    mask = np.zeros((1400, 1401), bool)  # of single pixels: half a million, or a hundred thousand
    mask[::step, ::2] = mask[1::step, 1::2] = True
    mask[:, 1000:] = False
    mask[900:] = False
    found = polygons(mask)
    assert len(found) <= outline.MAX_CORNERS / 4
    near = cv2.dilate(filled(mask.shape, found).view(np.uint8), np.ones((5, 5))).astype(bool)
    assert not (mask & ~near).any()  # nothing is left out
    points = np.concatenate(found)
    assert points.min(axis=0) == pytest.approx([0, 0], abs=4)
    assert points.max(axis=0) == pytest.approx([1000, 900], abs=4)


def test_drawing_colours_the_edge_and_tints_the_inside() -> None:
    grey = np.full((40, 40), 100, np.uint8)
    mask = np.zeros((40, 40), bool)
    mask[10:30, 10:30] = True
    picture = draw(grey, mask, "#ff0000", opacity=0.5, width=1)
    assert picture[20, 20].tolist() == [178, 50, 50]  # half of 100 and half of red, 177.5 to the even number
    assert picture[10, 20].tolist() == pytest.approx([255, 0, 0], abs=15)  # the line is smoothed
    assert picture[0, 0].tolist() == [100, 100, 100]
    assert grey.max() == 100
