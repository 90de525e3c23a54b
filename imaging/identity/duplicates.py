"""Find duplicates: the same picture copied, resized, saved again or brightened, under any name, among hundreds of thousands.

Two images are duplicates when their difference hashes (which of two neighbouring cells of a 16 x 16 grid is brighter)
differ in at most MOST_BITS and their 64 x 64 miniatures correlate by at least LEAST_CORRELATION. Chest radiographs
resemble each other: among 53 of different patients of SIIM-ACR the closest two differ in 34 of 256 bits and correlate
.93, while noise, JPEG and gamma change at most 13 bits and leave a correlation above .99. Hence the two limits. Mirrored
and inverted copies are different images here.

Candidates come from an index, not from a comparison of all pairs. Miniatures of mean 0 and norm 1 that correlate by r lie
sqrt(2 - 2r) apart, and no farther in any orthonormal projection. So a search within that radius among a few low
frequencies of the cosine transform misses no pair: the result is that of comparing all pairs. The images are sorted along the
direction of largest variance, and each block of them is compared, by one matrix product, with those within the radius there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

MOST_BITS = 20
LEAST_CORRELATION = 0.99
RADIUS = float(np.sqrt(2 - 2 * LEAST_CORRELATION)) + 1e-3
"""Largest distance between the normalised miniatures of two duplicates, with room for rounding."""
_GRID = 16
_SIDE = 64
_BLOCK, _TILE = 512, 4096
_FREQUENCIES = [(y, x) for y in range(6) for x in range(6) if 0 < x + y <= 5]
SIGNATURE = np.dtype(
    [("hash", np.uint8, _GRID * _GRID // 8), ("spectrum", np.float32, len(_FREQUENCIES)), ("digest", np.uint64)]
)  # fmt: skip
"""What is kept of an image in memory, 120 bytes. hash: 256 bits of the difference hash. spectrum: low frequencies of the
normalised miniature. digest: equal for images whose miniatures are equal."""
_ONES = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)


def signature(image: NDArray[np.uint8]) -> NDArray[np.void]:
    """The signature of an image (H, W): a scalar array of the type SIGNATURE."""
    small = _miniature(image)
    normal = _normalised(small).astype(np.float32)
    found = np.zeros((), SIGNATURE)
    found["hash"] = difference_hash(image)
    found["spectrum"] = cv2.dct(normal)[tuple(np.transpose(_FREQUENCIES))]
    # the miniature of a uniform image carries no information: such images are duplicates only when they are equal
    whole = small if normal.any() else image
    found["digest"] = int.from_bytes(hashlib.sha256(whole.tobytes()).digest()[:8], "big")
    return found


def difference_hash(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """256 bits of an image (H, W), packed as uint8 (32,): is a cell brighter than its left neighbour?"""
    cells = cv2.resize(_miniature(image), (_GRID + 1, _GRID), interpolation=cv2.INTER_AREA)
    return np.packbits(cells[:, 1:] > cells[:, :-1])


def duplicate_pairs(signatures: NDArray[np.void], images: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of duplicates, sorted, from the signatures (N,) and the images (N, S, S).

    Of images with equal miniatures each is paired with the first of them, which alone is compared with others: connected
    pairs are one group, and a thousand copies of one image are a thousand pairs, not half a million.
    """
    _, first, group = np.unique(signatures["digest"], return_index=True, return_inverse=True)
    copies = [(int(first[g]), i) for i, g in enumerate(group) if first[g] != i]
    pairs = [(i, j) for i, j in copies if _correlation(images[i], images[j]) >= LEAST_CORRELATION]
    kept = np.sort(first)
    for one, other in _candidates(signatures[kept]):
        for i, j in zip(kept[one].tolist(), kept[other].tolist(), strict=True):
            if _correlation(images[i], images[j]) >= LEAST_CORRELATION:
                pairs.append((i, j))
    return sorted(pairs)


def _candidates(signatures: NDArray[np.void]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Positions (i, j), i < j, of images near each other in spectrum and hash, tile by tile, so that memory stays flat."""
    points = _principal(signatures["spectrum"])
    order = np.argsort(points[:, 0], kind="stable")
    points, hashes = points[order], signatures["hash"][order]
    for start, stop, left, right in _tiles(points[:, 0]):
        row, column = np.nonzero(_near(points[start:stop], points[left:right]))
        one, other = row + start, column + left
        one, other = one[other > one], other[other > one]
        alike = _ONES[hashes[one] ^ hashes[other]].sum(axis=1, dtype=np.int64) <= MOST_BITS
        pair = np.sort(np.stack([order[one[alike]], order[other[alike]]]), axis=0)
        yield pair[0], pair[1]


def _tiles(along: NDArray[np.float32]) -> Iterator[tuple[int, int, int, int]]:
    """Rows start:stop and columns left:right of all pairs, each once, that can be near by their sorted first coordinates (N,)."""
    for start in range(0, len(along), _BLOCK):
        stop = min(start + _BLOCK, len(along))
        end = int(np.searchsorted(along, along[stop - 1] + RADIUS, "right"))
        for left in range(start, end, _TILE):
            yield start, stop, left, min(left + _TILE, end)


def _near(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(A, B): whether points (A, F) and (B, F) lie within RADIUS: |a - b| <= r is a·b >= (|a|² + |b|² - r²) / 2."""
    half_one, half_other = ((points * points).sum(axis=1) / 2 for points in (one, other))
    products = one @ other.T
    products -= half_other
    return np.asarray(products >= (half_one - RADIUS * RADIUS / 2)[:, None])


def _principal(spectra: NDArray[np.float32]) -> NDArray[np.float32]:
    """Spectra (N, F) along their directions of variance, the largest first: a rotation, which changes no distance."""
    centred = spectra - spectra.sum(axis=0, dtype=np.float64) / max(1, len(spectra))
    directions = np.linalg.eigh(centred.T @ centred)[1]
    return np.ascontiguousarray(centred @ directions[:, ::-1], np.float32)


def _correlation(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Pearson's correlation of the 64 x 64 miniatures; 1 for equal images, 0 when only one of them is
    uniform.
    """
    if np.array_equal(one, other):
        return 1.0
    return float((_normalised(_miniature(one)) * _normalised(_miniature(other))).sum())


def _normalised(miniature: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean 0 and norm 1; zeros for a uniform one."""
    centred = miniature.astype(np.float64) - miniature.mean()
    norm = float(np.sqrt((centred * centred).sum()))
    return centred / norm if norm else np.zeros_like(centred)


def _miniature(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """64 x 64; from sides that are multiples of it, in a fraction of the time that an odd factor takes."""
    return np.asarray(cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.uint8)
