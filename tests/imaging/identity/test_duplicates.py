from __future__ import annotations

import cv2
import numpy as np
import pytest

from imaging.identity.duplicates import RADIUS, SIGNATURE, duplicate_pairs, signature


def pictures(count: int, side: int = 64) -> np.ndarray:
    rng = np.random.default_rng(5)
    return np.array(
        [cv2.resize(rng.integers(30, 200, (12, 12), np.uint8), (side, side)) for _ in range(count)]
    )


def pairs(images: np.ndarray) -> list[tuple[int, int]]:
    return duplicate_pairs(np.array([signature(image) for image in images], SIGNATURE), images)


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
    monkeypatch.setattr("imaging.identity.duplicates._BLOCK", 2)
    assert pairs(images) == [(0, 8), (3, 5)]


def test_copies_of_one_picture_are_a_star_not_all_pairs():
    images = pictures(5)
    images[2] = images[3] = images[4] = images[0]
    assert pairs(images) == [(0, 2), (0, 3), (0, 4)]


def test_uniform_images_are_duplicates_only_when_equal():
    images = np.full((4, 64, 64), 7, np.uint8)
    images[1], images[2] = 8, pictures(1)[0]
    assert pairs(images) == [(0, 3)]


def test_no_images_have_no_duplicates():
    assert pairs(np.zeros((0, 64, 64), np.uint8)) == []


def test_the_index_finds_what_comparing_all_pairs_finds():
    rng = np.random.default_rng(3)
    images = pictures(40)
    for number in range(20, 40):  # from hardly changed to hardly alike: pairs on both sides of the limits
        noise = rng.normal(0, number - 19, images[0].shape)
        images[number] = np.clip(images[number - 20] + cv2.GaussianBlur(noise, (0, 0), 3) * 8, 0, 255)
    kept = np.array([signature(image) for image in images], SIGNATURE)
    flat = images.reshape(len(images), -1).astype(np.float64)
    alike = np.corrcoef(flat) >= 0.99
    bits = np.unpackbits(kept["hash"], axis=1)
    near = (bits[:, None] != bits[None]).sum(axis=2) <= 20
    expected = [(i, j) for i in range(40) for j in range(i + 1, 40) if alike[i, j] and near[i, j]]
    assert 3 < len(expected) < 20
    assert pairs(images) == expected


def test_spectra_lie_no_farther_apart_than_the_miniatures():
    images = pictures(8)
    kept = np.array([signature(image) for image in images], SIGNATURE)
    flat = images.reshape(len(images), -1).astype(np.float64)
    correlation = np.corrcoef(flat)
    apart = np.linalg.norm(kept["spectrum"][:, None] - kept["spectrum"][None], axis=2)
    assert (apart <= np.sqrt(np.maximum(2 - 2 * correlation, 0)) + 1e-4).all()
    assert np.sqrt(2 - 2 * 0.99) <= RADIUS
