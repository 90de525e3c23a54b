from __future__ import annotations

import os
import pickle
import subprocess
import sys

import cv2
import numpy as np
import pytest

from imaging.data.augment import build
from imaging.settings import AugmentSettings

SIDE = 96
ALWAYS = AugmentSettings(probability=1)


@pytest.fixture(scope="module")
def image():
    rng = np.random.default_rng(0)
    return cv2.resize(rng.integers(40, 200, (12, 12), np.uint8), (SIDE, SIDE))


@pytest.fixture(scope="module")
def mask():
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[20:50, 25:45] = 1
    return mask


def test_none_is_none():
    assert build(AugmentSettings(preset="none"), SIDE) is None


def test_the_result_depends_on_the_arguments_alone(image, mask):
    first, other = build(ALWAYS, SIDE), build(ALWAYS, SIDE)
    wanted = first(image, mask, 11)
    for seed in (5, 6, 7):  # earlier calls leave no trace
        other(image, None, seed)
    sent = pickle.loads(pickle.dumps(other))  # as a worker gets it
    for again in (other(image, mask, 11), sent(image, mask, 11)):
        np.testing.assert_array_equal(again[0], wanted[0])
        np.testing.assert_array_equal(again[1], wanted[1])


def test_the_image_is_changed_alike_with_and_without_a_mask(image, mask):
    change = build(ALWAYS, SIDE)
    np.testing.assert_array_equal(change(image, mask, 4)[0], change(image, None, 4)[0])
    assert change(image, None, 4)[1] is None


def test_every_change_takes_part_and_seeds_differ(image):
    change = build(AugmentSettings(probability=0.5), SIDE)
    results = [change(image, None, seed)[0].tobytes() for seed in range(200)]
    untouched = sum(result == image.tobytes() for result in results)
    assert 3 <= untouched <= 26  # one of 16: none of the four groups
    assert (
        len(set(results))
        == 200 - untouched + 1 - sum(result == image[:, ::-1].tobytes() for result in results) + 1
    )


@pytest.mark.parametrize("preset", ["baseline", "mmsegmentation", "cad", "winners"])
def test_a_published_preset_changes_image_and_mask_together_and_repeatably(preset, mask):
    settings = AugmentSettings(preset=preset)
    change, again = build(settings, SIDE), build(settings, SIDE)
    # bright where the mask is, dark elsewhere, but neither at the end of the range, so that tones can move
    picture = np.where(mask == 1, np.uint8(200), np.uint8(30))
    overlaps, results = [], set()
    for seed in range(60):
        moved, where = change(picture, mask, seed)
        assert moved.shape == where.shape == (SIDE, SIDE)
        assert moved.dtype == where.dtype == np.uint8
        assert set(np.unique(where)) <= {0, 1}
        same, alike = again(picture, mask, seed)
        np.testing.assert_array_equal(moved, same)
        np.testing.assert_array_equal(where, alike)
        bright = moved > (int(moved.max()) + int(moved.min())) / 2
        overlaps.append((bright & (where == 1)).sum() / max(1, (bright | (where == 1)).sum()))
        results.add(moved.tobytes())
    assert np.median(overlaps) > 0.95
    assert len(results) > 12


def test_a_probability_of_a_published_preset_is_refused():
    with pytest.raises(ValueError, match=r"probability 0\.9 has no effect with preset 'cad'"):
        AugmentSettings(preset="cad", probability=0.9)


def test_type_range_and_values(image, mask):
    change = build(ALWAYS, SIDE)
    for seed in range(50):
        moved, where = change(image, mask, seed)
        assert moved.dtype == where.dtype == np.uint8
        assert moved.shape == where.shape == (SIDE, SIDE)
        assert set(np.unique(where)) <= {0, 1}


def test_the_mask_follows_the_image(mask):
    picture = mask * np.uint8(200)
    change = build(ALWAYS, SIDE)
    for seed in range(50):
        moved, where = change(picture, mask, seed)
        bright = moved > 100
        union = (bright | (where == 1)).sum()
        assert (bright & (where == 1)).sum() / union > 0.9


def test_a_chest_stays_upright(mask):
    """No vertical flip, no quarter turn: what lies above stays above, and turns are at most 10 degrees."""
    body = np.zeros((SIDE, SIDE), np.uint8)
    body[20:40, 40:56] = 1  # above the middle
    change = build(ALWAYS, SIDE)
    for seed in range(100):
        _, where = change(body, body, seed)
        rows, columns = np.nonzero(where)
        assert rows.mean() < SIDE / 2
        assert np.ptp(rows) > np.ptp(columns) - 5  # 20 high and 16 wide
        _, _, angle = cv2.minAreaRect(np.argwhere(where).astype(np.float32))
        assert min(angle % 90, 90 - angle % 90) <= 10 + 4  # pixels make an angle uncertain


def test_what_comes_in_at_the_border_is_black(mask):
    white = np.full((SIDE, SIDE), 255, np.uint8)
    change = build(ALWAYS, SIDE)
    corners = [change(white, white // 255, seed) for seed in range(60)]
    outside = [(moved[where == 0], (where == 0).sum()) for moved, where in corners]
    assert sum(count > 100 for _, count in outside) > 20
    for values, count in outside:
        if count > 100:
            assert np.median(values) < 26 + 15  # black, brightened by 0.1 at most, and noise


def test_another_side_is_refused(image):
    with pytest.raises(ValueError, match=r"built for \(64, 64\), not for \(96, 96\)"):
        build(ALWAYS, 64)(image, None, 0)


def test_the_import_asks_no_server():
    """albumentations asks a package index for its newest release when it is imported; opening an address ends this process."""
    spy = "import os, urllib.request as u; u.OpenerDirector.open = lambda *a, **k: os._exit(7); import imaging.data.augment"
    clean = {name: value for name, value in os.environ.items() if name != "NO_ALBUMENTATIONS_UPDATE"}
    assert subprocess.run([sys.executable, "-c", spy], env=clean, check=False).returncode == 0
