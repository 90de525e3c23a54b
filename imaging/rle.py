"""The competition's run-length code: a mask as text, column by column.

A code is `gap length gap length …`: how many pixels outside, then how many inside, from the end of the
previous run on (relative, so the first gap counts from pixel 0). Pixels are counted down the columns, left to
right. `-1` is the empty mask. The organisers' own functions, copied in most public solutions, lose a run that
reaches the last pixel and garble masks of 0 and 1; these do not. benchmarks/rle.py measures both.

Everything works on the band of columns that the mask touches: most masks are narrow, and transposing is what
takes the time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

EMPTY = "-1"

_PLAIN = b"0123456789 \t\r\n"
_MOST_PIXELS = 2**31
"""No image here has so many pixels; below it sums of gaps and lengths cannot overflow 64 bits."""


class RleError(ValueError):
    """A run-length code that no mask has; the message says what is wrong and where."""


def encode(mask: NDArray[Any]) -> str:
    """Write a mask (H, W) of any number type, non-zero = inside, as a code; `-1` when nothing is inside."""
    if mask.ndim != 2:
        raise RleError(f"a mask has two dimensions (height, width), not shape {mask.shape}")
    inside = np.ascontiguousarray(mask) if mask.dtype in (np.uint8, np.bool_) else np.not_equal(mask, 0)
    inside = inside.view(np.uint8)
    left, _, width, _ = cv2.boundingRect(inside) if inside.size else (0, 0, 0, 0)
    if width == 0:
        return EMPTY
    height = mask.shape[0]
    flat = np.zeros(
        width * height + 2, np.bool_
    )  # one pixel outside at each end, so that every run has two edges
    flat[1:-1] = cv2.transpose(inside[:, left : left + width]).ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + left * height
    return " ".join(map(str, np.diff(edges, prepend=0).tolist()))


def decode(code: str, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Draw a code as a bool mask of `shape` (height, width); RleError when it is no code or does not fit."""
    height, width = shape
    mask = np.zeros((height, width), np.uint8)
    _draw(mask, _counts(code))
    return mask.view(np.bool_)


def union(codes: Iterable[str], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Draw several codes of one image into one mask of `shape` (height, width): inside where any of them is.

    SIIM gives 624 images in several rows, 183 of which overlap; adding them up would count the shared pixels
    twice.
    """
    mask = np.zeros(shape, np.bool_)
    for code in codes:
        mask |= decode(code, shape)
    return mask


def area(code: str) -> int:
    """Count the pixels inside, without drawing the mask."""
    return int(_counts(code)[1::2].sum())


def _draw(mask: NDArray[np.uint8], counts: NDArray[np.int64]) -> None:
    """Set the pixels of alternating gaps and lengths to 1 in a mask (H, W) of zeros."""
    height, width = mask.shape
    if not len(counts):
        return
    end = int(counts.sum())
    if end > height * width:
        raise RleError(
            f"a run ends at pixel {end}, past the {height * width} of an image {height} high and {width} wide; "
            "are the gaps absolute starts, or is the image another size?"
        )
    first, last = int(counts[0]) // height, (end - 1) // height + 1
    lengths = np.empty(len(counts) + 1, np.int64)
    lengths[:-1], lengths[-1] = counts, last * height - end
    lengths[0] -= first * height
    inside = np.zeros(len(lengths), np.uint8)
    inside[1::2] = 1
    band = np.repeat(inside, lengths).reshape(last - first, height)
    cv2.transpose(band, mask[:, first:last])  # straight into the mask: a third faster than by a copy


def _counts(code: str) -> NDArray[np.int64]:
    """Read a code as gap, length, gap, length …; none for an empty mask."""
    if not isinstance(code, str):
        raise RleError(
            f"a run-length code is text, found {type(code).__name__} {code!r}; read the column as str"
        )
    code = code.strip()
    if code == EMPTY:
        return np.empty(0, np.int64)
    if not code or code.encode().translate(None, _PLAIN):
        raise RleError(_strange_word(code))
    counts = np.fromstring(code, dtype=np.int64, sep=" ")  # ten times faster than split() and int()
    if len(counts) % 2:
        raise RleError(f"a code has pairs of gap and length, this one has {len(counts)} numbers")
    if counts.max() > _MOST_PIXELS:
        raise RleError(f"the number {counts.max()} is larger than any image")
    if np.count_nonzero(counts[1::2]) < len(counts) // 2:
        raise RleError(f"run {int(np.argmin(counts[1::2])) + 1} has length 0; lengths are positive")
    return counts


def _strange_word(code: str) -> str:
    """Say which word of a refused code is no plain number, and what it may mean."""
    if not code:
        return "the code is empty; an empty mask is written -1"
    place, word = next((i, word) for i, word in enumerate(code.split()) if not re.fullmatch(r"[0-9]+", word))
    if re.fullmatch(r"-[0-9]+", word):
        kind = "length" if place % 2 else "gap"
        return f"run {place // 2 + 1} has a negative {kind}, {word}: runs follow each other without overlap"
    return f"{word!r} at place {place + 1} is no whole number"
