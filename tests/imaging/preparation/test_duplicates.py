from __future__ import annotations

import cv2
import numpy as np
import pytest

from imaging.preparation.duplicates import difference_hash, duplicate_pairs


def pictures(count: int, side: int = 64) -> np.ndarray:
    rng = np.random.default_rng(5)
    return np.array(
        [cv2.resize(rng.integers(30, 200, (12, 12), np.uint8), (side, side)) for _ in range(count)]
    )


def pairs(images: np.ndarray) -> list[tuple[int, int]]:
    return duplicate_pairs(np.array([difference_hash(image) for image in images]), images)


def test_different_pictures_are_no_duplicates():
    assert pairs(pictures(30)) == []


def _jpeg(image):
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_GRAYSCALE)


def _noise(image):
    return np.clip(image + np.random.default_rng(1).normal(0, 3, image.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "change",
    [lambda i: i, lambda i: i + 20, lambda i: (255 * (i / 255) ** 1.3).astype(np.uint8), _jpeg, _noise],
    ids=["equal", "brighter", "gamma", "jpeg", "noise"],
)
def test_a_changed_copy_is_found(change):
    images = pictures(6)
    images[4] = change(images[1])
    assert pairs(images) == [(1, 4)]


def test_a_mirror_image_is_no_duplicate():
    images = pictures(3)
    images[2] = images[0][:, ::-1]
    assert pairs(images) == []


def test_like_hashes_alone_do_not_make_duplicates():
    flat = np.zeros((64, 64), np.uint8)  # no cell is brighter than its neighbour, as in the falling ramp
    ramp = np.repeat(np.arange(252, -1, -4, dtype=np.uint8)[None], 64, axis=0)
    assert pairs(np.array([flat, ramp])) == []
    assert pairs(np.array([flat, flat])) == [(0, 1)]


def test_blocks_cover_all_pairs(monkeypatch):
    images = pictures(9)
    images[8], images[5] = images[0], images[3]
    monkeypatch.setattr("imaging.preparation.duplicates._BLOCK", 2)
    assert pairs(images) == [(0, 8), (3, 5)]
