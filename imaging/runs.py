"""Areas, unions and overlaps of masks, computed on runs without decoding the masks.

Runs are an int64 array (R, 2) of start and end (exclusive), sorted and disjoint, in column-major order of pixels.
This is about a hundred times faster than working on the 1,048,576 pixels of a radiograph.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from imaging import rle

Runs = NDArray[np.int64]


def parse(code: str, pixels: int | None = None) -> Runs:
    """Parse a code to runs; RleError when it is invalid or ends past an image of `pixels` pixels."""
    edges = np.cumsum(rle.counts(code)).reshape(-1, 2)
    if pixels is not None and len(edges) and edges[-1, 1] > pixels:
        raise rle.RleError(
            f"a run ends at pixel {edges[-1, 1]}, past the image's {pixels} pixels; is the shape right?"
        )
    return edges


def write(runs: Runs) -> str:
    """Encode sorted, disjoint runs; `-1` for none."""
    return " ".join(map(str, np.diff(runs.ravel(), prepend=0).tolist())) or rle.EMPTY


def union(parts: Iterable[Runs]) -> Runs:
    """Unite several sets of runs."""
    filled = [part for part in parts if len(part)]
    if len(filled) < 2:
        return filled[0] if filled else np.empty((0, 2), np.int64)
    edges = np.concatenate(filled)
    edges = edges[np.argsort(edges[:, 0], kind="stable")]
    reach = np.maximum.accumulate(edges[:, 1])
    first = np.append(True, edges[1:, 0] > reach[:-1])
    last = np.append(first[1:], True)
    return np.stack([edges[first, 0], reach[last]], axis=1)


def area(runs: Runs) -> int:
    """Number of pixels."""
    return int((runs[:, 1] - runs[:, 0]).sum())


def overlap(a: Runs, b: Runs) -> int:
    """Count the pixels in both: |A| + |B| − |A∪B|."""
    return area(a) + area(b) - area(union([a, b])) if len(a) and len(b) else 0
