"""Count the blocks that a JPEG's scan really holds.

libjpeg, and so every decoder built on it, fills the blocks that a scan lacks with mid grey and carries on. A
stream that was cut and closed again with an end marker therefore decodes to a picture that looks whole. This
walks the Huffman codes (ITU-T T.81 annex F.2.2) without decoding a pixel. It is slow, tens of milliseconds,
and needed only where a picture ends in exactly that grey.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from imaging.decoding.radiograph import RefusedFile

_DHT, _SOS = 0xC4, 0xDA
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_LONGEST = 16
"""Bits of the longest Huffman code."""
_BLOCK = 64
"""Coefficients of a block."""
_NO_CODE = 1 << 20
"""A step that leads out of any scan: these bits are no code."""

Steps = tuple[NDArray[np.int64], NDArray[np.int64]]


def count_blocks(data: bytes) -> int:
    """Return the number of whole 8x8 blocks in the scan of a sequential 8-bit JPEG of one component."""
    tables, (dc, ac), start = _tables(data)
    if dc not in tables or 0x10 | ac not in tables:
        raise RefusedFile("JPEG-DAMAGED", "the JPEG lacks the Huffman tables of its scan")
    scan = data[start : data.rfind(b"\xff\xd9")]
    return sum(_count(part, tables[dc], tables[0x10 | ac]) for part in _RESTART.split(scan))


def _tables(data: bytes) -> tuple[dict[int, Steps], tuple[int, int], int]:
    """Read the Huffman tables, the two that the scan uses, and where its coded bits begin."""
    tables: dict[int, Steps] = {}
    place = 2
    while True:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == _DHT:
            tables |= _read_tables(data[place + 4 : place + 2 + length])
        if marker == _SOS:
            chosen = data[place + 6]
            return tables, (chosen >> 4, chosen & 15), place + 2 + length
        place += 1 if marker == 0xFF else 2 + length


def _read_tables(segment: bytes) -> dict[int, Steps]:
    """Read the tables of a DHT segment: for any 16 bits the length of the code ahead, and its symbol."""
    tables = {}
    while len(segment) >= 17:
        lengths = np.zeros(1 << _LONGEST, np.int64)
        symbols = np.zeros(1 << _LONGEST, np.int64)
        lengths[:] = _NO_CODE
        place, code = 17, 0
        for bits in range(1, _LONGEST + 1):
            for _ in range(segment[bits]):
                span = slice(code << (_LONGEST - bits), (code + 1) << (_LONGEST - bits))
                lengths[span], symbols[span] = bits, segment[place]
                place, code = place + 1, code + 1
            code <<= 1
        tables[segment[0]] = (lengths, symbols)
        segment = segment[place:]
    return tables


def _count(part: bytes, dc: Steps, ac: Steps) -> int:
    """Count the whole blocks between two restart markers."""
    windows = _windows(part.replace(b"\xff\0", b"\xff"))
    size = len(windows)
    first = (
        dc[0][windows] + dc[1][windows]
    ).tolist()  # the code and the bits of the difference that follow it
    symbols = ac[1][windows]
    step = (ac[0][windows] + (symbols & 15)).tolist()
    skip = np.where(
        symbols == 0, _BLOCK, (symbols >> 4) + 1
    ).tolist()  # 0 ends the block, else zeros and one value
    blocks = place = 0
    while place < size:
        place += first[place]
        filled = 1
        while filled < _BLOCK and place < size:
            filled += skip[place]
            place += step[place]
        blocks += filled >= _BLOCK and place <= size
    return blocks


def _windows(part: bytes) -> NDArray[np.int32]:
    """Return the 16 bits from each bit on as a number; ones follow the end, as in a padded last byte."""
    octets = np.frombuffer(part + b"\xff\xff", np.uint8).astype(np.int32)
    words = octets[:-2] << 16 | octets[1:-1] << 8 | octets[2:]
    return (words[:, None] >> np.arange(8, 0, -1) & 0xFFFF).ravel().astype(np.int32)
