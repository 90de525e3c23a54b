from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imaging.resize import network_input, resize_image, resize_mask


def test_equalisation_raises_the_contrast_of_dim_pictures_most() -> None:
    """The same noise with greys 0 to 63 and 40 to 229: the standard deviation grows 2.6 and 1.6 times."""
    noise = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 64, (256, 256), np.uint8), (0, 0), 3)
    dim = cv2.normalize(noise, None, 0, 63, cv2.NORM_MINMAX)
    plain, equalised = (
        [network_input(one, 128, contrast).std() for one in (dim, dim * np.uint8(3) + np.uint8(40))]
        for contrast in ("plain", "clahe")
    )
    assert [round(after / before, 1) for before, after in zip(plain, equalised, strict=True)] == [2.6, 1.6]
    assert np.array_equal(network_input(dim, 128, "plain"), resize_image(dim, 128))


def test_image_is_the_area_mean():
    image = np.kron([[10, 20], [30, 40]], np.ones((3, 3))).astype(np.uint8)
    image[0, 0] += 9
    assert resize_image(image, 2).tolist() == [[11, 20], [30, 40]]


def test_sides_are_scaled_each_for_itself():
    image = np.repeat(np.array([[0, 100]], np.uint8), 4, axis=0)  # 4 high, 2 wide
    assert resize_image(image, 2).tolist() == [[0, 100], [0, 100]]


@pytest.mark.parametrize(("inside", "kept"), [(0, 0), (7, 0), (8, 1), (16, 1)])
def test_half_of_the_area_is_inside(inside, kept):
    block = np.zeros(16, np.uint8)
    block[:inside] = 1
    mask = np.zeros((8, 8), np.uint8)
    mask[:4, :4] = block.reshape(4, 4)
    mask[4:, 4:] = 1  # so that the mask is not empty without the block
    assert resize_mask(mask, 2).tolist() == [[kept, 0], [0, 1]]


@pytest.mark.parametrize("value", [1, 7, 255, True])
def test_non_zero_is_inside(value):
    mask = np.zeros((4, 4), type(value) if value is True else np.uint8)
    mask[:2, :2] = value
    assert resize_mask(mask, 2).tolist() == [[1, 0], [0, 0]]
    assert resize_mask(mask, 2).dtype == np.uint8


def test_a_small_mask_does_not_vanish():
    mask = np.zeros((1024, 1024), np.bool_)
    mask[500, 700] = True
    small = resize_mask(mask, 64)
    assert np.argwhere(small).tolist() == [[31, 43]]


@settings(max_examples=100)
@given(
    hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=40)),
    st.integers(1, 48),
)
def test_empty_stays_empty_and_nothing_else_becomes_so(mask, size):
    small = resize_mask(mask, size)
    assert small.shape == (size, size)
    assert set(np.unique(small)) <= {0, 1}
    assert small.any() == mask.any()
