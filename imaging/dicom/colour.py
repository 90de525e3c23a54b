"""Radiographs stored as colour: RGB, YBR or PALETTE COLOR whose channels hold the same grey, as many PACS export them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import uid

from imaging.decoding.pillow import GREY_ENOUGH
from imaging.decoding.radiograph import Pixels, RefusedFile
from imaging.dicom.header import Header
from imaging.dicom.pixels import GREY, NATIVE, PALETTE, Stored, bits, photometric

_ROWS = 256
"""Rows that are compared at once."""


def is_colour(header: Header) -> bool:
    """Say whether the photometric interpretation is a colour one."""
    return photometric(header) not in GREY


def to_grey(header: Header, stored: Stored) -> Pixels:
    """Return the grey (H, W), uint8 or uint16, of a picture whose channels are equal; refuse real colour.

    Channels may differ by GREY_ENOUGH of 255 levels, as lossy compression leaves them. Windows do not apply (PS3.3 C.11.2).
    """
    if photometric(header) == PALETTE:
        return _of_palette(header, stored)
    full = 2**stored.bits - 1
    # decoders have turned compressed YBR into RGB; native pixels are as the header says
    if header.syntax in (*NATIVE, uid.RLELossless) and photometric(header).startswith("YBR"):
        grey = _luma(header, stored.codes, full)
    else:
        _check_spread(stored.codes, 0, stored.codes, full)
        grey = stored.codes[..., 1]
    kind, top = (np.uint8, 255) if stored.bits <= 8 else (np.uint16, 65535)
    if full == top:
        return np.array(grey, kind)
    return np.rint(np.minimum(grey, full).astype(np.float32) * (top / full)).astype(kind)


def _luma(header: Header, codes: NDArray[Any], full: int) -> NDArray[Any]:
    """Return the luma of uncompressed YBR_FULL (H, W, 3) or YBR_FULL_422 (H, W, 2) pixels (PS3.3 C.7.6.3.1.2)."""
    neutral = (full + 1) // 2
    if photometric(header) == "YBR_FULL":
        _check_spread(codes[..., 1:], neutral, codes[..., 1:], full)
        return codes[..., 0]
    if photometric(header) != "YBR_FULL_422" or codes.shape[1] % 2:
        raise RefusedFile("DICOM-COLOUR", f"uncompressed {photometric(header)} is not supported")
    pairs = codes.reshape(codes.shape[0], -1, 4)  # Y Y Cb Cr
    _check_spread(pairs[..., 2:], neutral, pairs[..., 2:], full)
    return pairs[..., :2].reshape(codes.shape[:2])


def _check_spread(low: NDArray[Any], neutral: int, high: NDArray[Any], full: int) -> None:
    """Refuse channels (H, W, C) that differ from each other, or from `neutral` where that is given."""
    spread = 0
    for start in range(0, low.shape[0], _ROWS):
        rows = slice(start, start + _ROWS)
        least, most = low[rows].min(axis=2).astype(np.int32), high[rows].max(axis=2).astype(np.int32)
        if neutral:
            least, most = np.minimum(least, neutral), np.maximum(most, neutral)
        spread = max(spread, int((most - least).max()))
    if spread * 255 > GREY_ENOUGH * full:
        raise RefusedFile(
            "DICOM-COLOUR",
            f"not a grey picture: its channels differ by up to {spread * 255 // full} of 255 levels",
        )


def _of_palette(header: Header, stored: Stored) -> Pixels:
    """Look the codes up in a palette (PS3.3 C.7.6.3.1.5) whose three tables hold the same greys."""
    tables = np.stack([_table(header, colour) for colour in ("Red", "Green", "Blue")], axis=1)
    first = header.integers("RedPaletteColorLookupTableDescriptor")[1]
    place = np.clip(np.arange(2 ** bits(header)[1]) - first, 0, len(tables) - 1)
    used = np.unique(place[np.unique(stored.codes & (len(place) - 1))])
    _check_spread(tables[used][None], 0, tables[used][None], 65535)
    return np.take(tables[:, 1][place], stored.codes & (len(place) - 1))


def _table(header: Header, colour: str) -> NDArray[np.uint16]:
    """Return one table of a palette with 16 bits per entry."""
    keyword = f"{colour}PaletteColorLookupTable"
    descriptor, data = header.integers(f"{keyword}Descriptor"), header.raw(f"{keyword}Data")
    if len(descriptor) != 3 or descriptor[2] not in (8, 16) or not data:
        raise RefusedFile(
            "DICOM-LUT", "the palette's descriptor or data is invalid, or segmented, which is not supported"
        )
    count = descriptor[0] or 2**16
    packed = len(data) < 2 * count  # 8-bit entries may be packed two in a word
    entries = np.frombuffer(data, np.uint8) if packed else np.array(header.integers(f"{keyword}Data"))
    if len(entries) < count:
        raise RefusedFile("DICOM-LUT", f"the palette has {len(entries)} entries instead of {count}")
    wide = entries[:count].astype(np.uint32)
    return (wide * 257 if descriptor[2] == 8 and int(wide.max()) < 256 else wide).astype(np.uint16)
