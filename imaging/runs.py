"""Masks as runs: areas, unions and overlaps counted from the run-length codes, without drawing a mask.

A set of runs is an int64 array (R, 2) of first pixel and first pixel after, sorted and apart from each
other, in the code's own order of pixels (down the columns). Counting on runs is some hundred times faster
than on the 1,048,576 pixels of a radiograph.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from imaging import rle

Runs = NDArray[np.int64]


def parse(code: str, pixels: int | None = None) -> Runs:
    """Runs of one code; RleError when it is no code or leaves an image of `pixels` pixels."""
    edges = np.cumsum(rle.counts(code)).reshape(-1, 2)
    if pixels is not None and len(edges) and edges[-1, 1] > pixels:
        raise rle.RleError(
            f"a run ends at pixel {edges[-1, 1]}, past the {pixels} of the image; is the shape right?"
        )
    return edges


def write(runs: Runs) -> str:
    """The code of sorted runs that do not touch; `-1` for none."""
    return " ".join(map(str, np.diff(runs.ravel(), prepend=0).tolist())) or rle.EMPTY


def union(parts: Iterable[Runs]) -> Runs:
    """Pixels that are in any of the parts, as runs; what several of them hold counts once."""
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
    """Number of pixels that are in both: |A| + |B| − |A∪B|."""
    return area(a) + area(b) - area(union([a, b])) if len(a) and len(b) else 0
