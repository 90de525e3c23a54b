from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imaging import rle
from imaging.rle import RleError

# Column-major: in a mask 3 high and 4 wide, pixel 0 is (0, 0), pixel 1 is (1, 0), pixel 3 is (0, 1).
SHAPE = (3, 4)
HAND_MADE = {
    "empty": ([], "-1"),
    "first pixel": ([(0, 0)], "0 1"),
    "last pixel": ([(2, 3)], "11 1"),
    "first and last": ([(0, 0), (2, 3)], "0 1 10 1"),
    "down a column": ([(0, 1), (1, 1)], "3 2"),
    "along a row": ([(0, 0), (0, 1)], "0 1 2 1"),
    "over a column's end": ([(2, 0), (0, 1)], "2 2"),
    "last column": ([(0, 3), (1, 3), (2, 3)], "9 3"),
    "all": ([(y, x) for y in range(3) for x in range(4)], "0 12"),
}


def drawn(pixels, shape=SHAPE):
    mask = np.zeros(shape, bool)
    for place in pixels:
        mask[place] = True
    return mask


@pytest.mark.parametrize(("pixels", "code"), HAND_MADE.values(), ids=HAND_MADE.keys())
def test_codes_worked_out_by_hand(pixels, code):
    mask = drawn(pixels)
    assert rle.encode(mask) == code
    decoded = rle.decode(code, SHAPE)
    assert decoded.dtype == bool
    assert decoded.shape == SHAPE
    np.testing.assert_array_equal(decoded, mask)
    assert rle.area(code) == len(pixels)


@pytest.mark.parametrize(
    "inside", [True, np.uint8(1), np.uint8(255), np.int64(-3), np.float32(0.5), np.uint16(256)]
)
def test_any_nonzero_value_is_inside(inside):
    mask = np.zeros((5, 6), type(inside))
    mask[1:3, 2:4] = inside
    assert rle.encode(mask) == "11 2 3 2"


masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))


@given(masks)
def test_every_mask_comes_back(mask):
    code = rle.encode(mask)
    np.testing.assert_array_equal(rle.decode(code, mask.shape), mask)
    np.testing.assert_array_equal(rle.decode(code, mask.shape, order="F"), mask)
    assert rle.encode(np.asfortranarray(mask)) == code
    assert rle.area(code) == mask.sum()


@given(masks, st.sampled_from(["transposed", "mirrored", "every second"]))
def test_masks_that_are_views(mask, view):
    seen = {"transposed": mask.T, "mirrored": mask[::-1, ::-1], "every second": mask[::2, ::2]}[view]
    np.testing.assert_array_equal(rle.decode(rle.encode(seen), seen.shape), seen)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=8))
def test_codes_with_runs_that_touch_draw_the_same_pixels(runs):
    code = " ".join(f"{gap} {length}" for gap, length in runs)
    flat = np.concatenate([np.repeat([False, True], run) for run in runs])
    mask = np.zeros(160, bool)
    mask[: len(flat)] = flat
    for order in ("C", "F"):
        found = rle.decode(code, (16, 10), order)
        np.testing.assert_array_equal(found, mask.reshape(10, 16).T)
        assert found.flags.f_contiguous == (order == "F")


@pytest.mark.parametrize("code", ["-1", " -1", "-1 ", " -1\n"])
def test_empty_masks_are_written_with_or_without_blanks(code):
    assert not rle.decode(code, (2, 3)).any()
    assert rle.area(code) == 0


def test_blanks_and_tabs_between_numbers():
    np.testing.assert_array_equal(rle.decode(" 0 1\t10  1 ", SHAPE), rle.decode("0 1 10 1", SHAPE))


REJECTED = {
    "": "is empty",
    "  ": "is empty",
    "3": "has 1 numbers",
    "3 2 1": "has 3 numbers",
    "2 3 -1 2": "run 2 has a negative gap, -1",
    "2 -3": "run 1 has a negative length, -3",
    "2 0": "run 1 has length 0",
    "1 1 2 0": "run 2 has length 0",
    "11 2": "ends at pixel 13, past the 12",
    "3 1 9 1": "past the 12",
    "99999999999999999999 1": "larger than any image",
    "1 99999999999999999999": "larger than any image",
    "1.5 2": "'1.5' at position 1",
    "1 two": "'two' at position 2",
    "nan": "'nan' at position 1",
    "1_0 2": "'1_0' at position 1",
    "+1 2": "'+1' at position 1",
    "１ 2": "'１' at position 1",
    "1,2": "'1,2' at position 1",
    "-1 -1": "negative",
}


@pytest.mark.parametrize(("code", "message"), REJECTED.items())
def test_what_is_no_code_is_said(code, message):
    with pytest.raises(RleError, match=message.replace("+", r"\+")):
        rle.decode(code, SHAPE)


def test_absolute_starts_are_told_apart():
    absolute = "0 2 6 2 10 2"  # the ends of the three runs are 2, 8 and 12, so it looks right at a glance
    with pytest.raises(RleError, match="absolute starts"):
        rle.decode(absolute, SHAPE)


@pytest.mark.parametrize("value", [None, float("nan"), 3, b"0 1"])
def test_a_code_that_is_no_text(value):
    with pytest.raises(RleError, match="must be text"):
        rle.area(value)


@pytest.mark.parametrize("shape", [(3,), (3, 4, 1)])
def test_a_mask_that_is_no_picture(shape):
    with pytest.raises(RleError, match="two dimensions"):
        rle.encode(np.zeros(shape, bool))


def test_pictures_without_pixels():
    assert rle.encode(np.zeros((0, 5), bool)) == "-1"
    assert rle.decode("-1", (0, 5)).shape == (0, 5)
