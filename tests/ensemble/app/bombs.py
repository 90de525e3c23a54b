"""Small files that cost a reader much: for the tests of the page and for benchmarks/page_under_load.py."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np


def large_png(side: int = 12_000, bits: int = 16) -> bytes:
    """A sound grey PNG of side² pixels, all but constant: a kilobyte a megapixel or less."""
    packer = zlib.compressobj(9)
    row = b"\0" + b"\0\1" * (side * bits // 16)
    data = b"".join([packer.compress(row) for _ in range(side)]) + packer.flush()
    return _png(struct.pack(">IIBBBBB", side, side, bits, 0, 0, 0, 0), data)


def checkerboard(side: int = 4096) -> bytes:
    """A map of 8 bits in which every pixel is a part or a hole of its own."""
    rows = [b"\0" + bytes([255, 0] * (side // 2)), b"\0" + bytes([0, 255] * (side // 2))]
    return _png(
        struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0), zlib.compress(b"".join(rows) * (side // 2), 9)
    )


def progressive_jpeg(side: int = 4000, size: int = 2**21) -> bytes:
    """A progressive JPEG whose last scan is repeated until the file has `size` bytes."""
    grey = np.zeros((side, side), np.uint8)
    grey[::64, ::64] = 255
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_QUALITY, 30]
    data = cv2.imencode(".jpg", grey, options)[1].tobytes()
    last = data.rindex(b"\xff\xda")
    scan = data[last:-2]
    return data[:last] + scan * max(1, size // len(scan)) + b"\xff\xd9"


def _png(header: bytes, data: bytes) -> bytes:
    parts = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    chunks = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
