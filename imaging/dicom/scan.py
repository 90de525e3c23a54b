"""The elements of a regular DICOM file, in a fifth of the time that pydicom takes; anything else is pydicom's.

Regular: explicit little endian, tags in ascending order, no sequence, nothing of unknown kind, every value within the file
(PS3.5 7.1). So are the radiographs of SIIM-ACR. What is found there is what pydicom finds, value for value, unconverted.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

PIXEL_DATA = 0x7FE00010

_SHORT = struct.Struct("<HH2sH").unpack_from
_LONG = struct.Struct("<L").unpack_from
_SHORT_HEADER = frozenset(
    [b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS", b"ST",
     b"TM", b"UI", b"UL", b"US"]
)  # fmt: skip
_LONG_HEADER = frozenset([b"OB", b"OW", b"UC", b"UR", b"UT"])
"""Value representations whose length has four bytes. Sequences and unknown ones are not among them."""


@dataclass(frozen=True)
class Scanned:
    """The elements before the pixel data."""

    values: dict[int, bytes]
    """As stored, by tag."""
    place: int
    """Where the pixel data element begins."""
    vr: str
    """Of the pixel data."""
    length: int
    """As declared there."""


def scan(data: bytes, place: int) -> Scanned | None:
    """The elements of an explicit little-endian data set from `place` to the pixel data; None when it is not regular."""
    values: dict[int, bytes] = {}
    last, end = 0, len(data) - 12
    while place <= end:
        group, number, vr, length = _SHORT(data, place)
        tag, header = group << 16 | number, 8
        if vr in _LONG_HEADER:
            (length,), header = _LONG(data, place + 8), 12
        elif vr not in _SHORT_HEADER:
            return None
        if tag == PIXEL_DATA:
            return Scanned(values, place, vr.decode(), length)
        if not last < tag < PIXEL_DATA - 8 or place + header + length > len(data):
            return None
        values[tag] = data[place + header : place + header + length]
        last, place = tag, place + header + length
    return None
