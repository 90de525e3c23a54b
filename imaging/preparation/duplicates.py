"""Find duplicates: the same picture copied, saved again or brightened, under any name.

Candidates agree in their difference hash (which of two neighbouring cells of a 16 x 16 grid is brighter); a
pair counts when its 64 x 64 miniatures correlate as well. Chest radiographs resemble each other: among 53 of
different patients of SIIM-ACR the closest two differ in 34 of 256 bits and correlate .93, while noise, JPEG
and gamma change at most 13 bits and leave a correlation above .99. Hence the two limits.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

MOST_BITS = 20
LEAST_CORRELATION = 0.99
_GRID = 16
_BLOCK = 1024


def difference_hash(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """256 bits of an image (H, W), packed as uint8 (32,): is a cell brighter than its left neighbour?"""
    cells = cv2.resize(_miniature(image), (_GRID + 1, _GRID), interpolation=cv2.INTER_AREA)
    return np.packbits(cells[:, 1:] > cells[:, :-1])


def duplicate_pairs(hashes: NDArray[np.uint8], images: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of nearly equal images, from their hashes (N, 32) and the images (N, S, S)."""
    return [(i, j) for i, j in _near(hashes) if _correlation(images[i], images[j]) >= LEAST_CORRELATION]


def _near(hashes: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Pairs within MOST_BITS in order; differing bits follow from the product of vectors of +1 and -1. Block against block, so
    that memory does not grow with the images.
    """
    pairs: list[tuple[int, int]] = []
    for above in range(0, len(hashes), _BLOCK):
        signs = _signs(hashes[above : above + _BLOCK])
        for left in range(above, len(hashes), _BLOCK):
            agreement = signs @ _signs(hashes[left : left + _BLOCK]).T  # 256 - 2 * differing bits
            rows, columns = np.nonzero(agreement >= signs.shape[1] - 2 * MOST_BITS)
            rows, columns = rows + above, columns + left
            later = columns > rows
            pairs += zip(rows[later].tolist(), columns[later].tolist(), strict=True)
    return sorted(pairs)


def _signs(hashes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 256) of +1 and -1."""
    return np.unpackbits(hashes, axis=1).astype(np.float32) * 2 - 1


def _correlation(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Pearson's correlation of the 64 x 64 miniatures; 1 for equal images, 0 when only one of them is
    uniform.
    """
    if np.array_equal(one, other):
        return 1.0
    a, b = (_miniature(image).astype(np.float64) for image in (one, other))
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm else 0.0


def _miniature(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """64 x 64; from sides that are multiples of it, in a fraction of the time that an odd factor takes."""
    return np.asarray(cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA), np.uint8)
