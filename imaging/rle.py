"""Encode and decode the competition's run-length encoding (RLE) of masks.

A code is `gap length gap length …`: the number of pixels between the end of the previous run and this one (the first gap
counts from pixel 0), and the length of the run. Pixels are in column-major order; `-1` is the empty mask. The organisers'
functions, copied in most public solutions, lose a run that reaches the last pixel and garble masks of 0 and 1.
benchmarks/rle.py compares both.

Transposing takes most of the time, so only the bounding box of the mask is transposed, and nothing with `order="F"`.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

EMPTY = "-1"
REFUSED = "refused"
"""In a submission in place of a code: the image's file could not be read."""

_PLAIN = b"0123456789 \t\r\n"
_MAX_PIXELS = 2**31
"""More than any image has; sums of smaller gaps and lengths cannot overflow 64 bits."""


class RleError(ValueError):
    """An invalid run-length code; the message says what is wrong and where."""


def encode(mask: NDArray[Any]) -> str:
    """Encode a mask (H, W) of any number type, non-zero = inside; `-1` for an empty mask."""
    if mask.ndim != 2:
        raise RleError(f"a mask must have two dimensions (height, width), not shape {mask.shape}")
    first, columns = _touched(mask)
    if not columns.size:
        return EMPTY
    flat = np.zeros(
        columns.size + 2, np.bool_
    )  # padded by one pixel at each end, so that every run has two edges
    flat[1:-1] = columns.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + first * mask.shape[0]
    return " ".join(map(str, np.diff(edges, prepend=0).tolist()))


def decode(code: str, shape: tuple[int, int], order: Literal["C", "F"] = "C") -> NDArray[np.bool_]:
    """Decode a code to a bool mask of `shape` (height, width); RleError when it is invalid or does not fit.

    order: of the mask in memory, row-major or column-major; the latter is faster to decode and to encode.
    """
    height, width = shape
    lengths = counts(code)
    end = int(lengths.sum())
    if end > height * width:
        raise RleError(
            f"a run ends at pixel {end}, past the {height * width} of an image {height} high and {width} wide; "
            "are the gaps absolute starts, or is the image another size?"
        )
    if order == "F":
        inside = _repeat(np.append(lengths, height * width - end))
        return inside.reshape(width, height).T.view(np.bool_)
    mask = np.zeros((height, width), np.uint8)
    if len(lengths):
        _draw(mask, lengths)
    return mask.view(np.bool_)


def area(code: str) -> int:
    """Count the pixels inside, without decoding the mask."""
    return int(counts(code)[1::2].sum())


def _touched(mask: NDArray[Any]) -> tuple[int, NDArray[np.uint8]]:
    """Return the index of the first non-empty column of a mask (H, W), and the columns from it to the last one, as rows."""
    inside = mask if mask.dtype in (np.uint8, np.bool_) else np.not_equal(mask, 0)
    if not inside.size:
        return 0, np.empty((0, 0), np.uint8)
    if inside.flags.f_contiguous:
        columns = inside.T.view(np.uint8)
        _, first, _, count = cv2.boundingRect(columns)
        return first, columns[first : first + count]
    rows = np.ascontiguousarray(inside).view(np.uint8)
    first, _, count, _ = cv2.boundingRect(rows)
    band = rows[:, first : first + count]
    return first, np.asarray(cv2.transpose(band), np.uint8) if count else band


def _draw(mask: NDArray[np.uint8], counts: NDArray[np.int64]) -> None:
    """Set the runs given by alternating gaps and lengths (at least one run) to 1 in a mask (H, W) of zeros."""
    height = len(mask)
    edges = np.cumsum(counts)
    edges[1::2] -= 1  # now the first and the last pixel of each run
    column = edges // height
    starts, ends = column[0::2], column[1::2]
    top, bottom = 0, height
    if not (starts != ends).any():  # no run crosses into the next column
        row = edges - column * height
        top, bottom = int(row[0::2].min()), int(row[1::2].max()) + 1
    left, right = int(column[0]), int(column[-1]) + 1
    lengths = np.empty(len(counts) + 1, np.int64)
    lengths[:-1] = counts
    lengths[2:-1:2] -= (starts[1:] - ends[:-1]) * (
        height - bottom + top
    )  # without what is above and below the box
    lengths[0] -= left * height + top
    lengths[-1] = (right - 1) * height + bottom - 1 - edges[-1]
    box = _repeat(lengths).reshape(right - left, bottom - top)
    cv2.transpose(box, mask[top:bottom, left:right])  # into the mask itself: a third faster than copying


def _repeat(lengths: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return alternating stretches of 0 and 1 of these lengths."""
    inside = np.zeros(len(lengths), np.uint8)
    inside[1::2] = 1
    return np.repeat(inside, lengths)


def counts(code: str) -> NDArray[np.int64]:
    """Parse a code to gap, length, gap, length …; an empty array for an empty mask."""
    if not isinstance(code, str):
        raise RleError(
            f"a run-length code must be text, found {type(code).__name__} {code!r}; read the column as str"
        )
    code = code.strip()
    if code == EMPTY:
        return np.empty(0, np.int64)
    if not code or code.encode().translate(None, _PLAIN):
        raise RleError(_strange_word(code))
    counts = np.fromstring(code, dtype=np.int64, sep=" ")  # ten times faster than split() and int()
    if len(counts) % 2:
        raise RleError(f"a code consists of pairs of gap and length, but this one has {len(counts)} numbers")
    if counts.max() > _MAX_PIXELS:
        largest = max(code.split(), key=lambda word: (len(word.lstrip("0")), word.lstrip("0")))
        raise RleError(f"the number {largest} is larger than any image")
    if np.count_nonzero(counts[1::2]) < len(counts) // 2:
        raise RleError(f"run {int(np.argmin(counts[1::2])) + 1} has length 0; lengths must be positive")
    return counts


def _strange_word(code: str) -> str:
    """Describe the first word of an invalid code that is not a plain number."""
    if not code:
        return "the code is empty; an empty mask is written -1"
    place, word = next((i, word) for i, word in enumerate(code.split()) if not re.fullmatch(r"[0-9]+", word))
    if re.fullmatch(r"-[0-9]+", word):
        kind = "length" if place % 2 else "gap"
        why = (
            "must be positive"
            if place % 2
            else "counts the pixels after the run before, so runs cannot overlap"
        )
        return f"run {place // 2 + 1} has a negative {kind}, {word}: a {kind} {why}"
    return f"{word!r} at position {place + 1} is not a whole number"
