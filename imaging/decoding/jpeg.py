"""JPEG with 8-bit grey pixels: one exact decode, or one straight to a half, a quarter or an eighth of the
size.

Decoders fill what a cut file lacks with grey and say nothing, so the frame is checked before and after.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.decoding import jpeg_scan
from imaging.decoding.radiograph import RefusedFile, check_size

_START, _END = b"\xff\xd8", b"\xff\xd9"
_SIZE_2000 = b"\xff\x4f\xff\x51"
"""Start of a JPEG 2000 code stream and of its size segment."""
_PROCESS_2000 = 16
_SOS = 0xDA
_SOF = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # DHT, JPG and DAC share the range (ITU-T T.81 table B.1)
_BLOCK = 8
_FILLED = b"\x80"
_REDUCED = {
    1: cv2.IMREAD_GRAYSCALE,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}


@dataclass(frozen=True)
class Frame:
    """What a JPEG's own header says."""

    process: int
    """Low half of the frame marker: 0 baseline, 1 extended, 2 progressive, 3 lossless, 7 JPEG-LS (F7).

    16 stands for JPEG 2000, which has no such marker.
    """
    bits: int
    height: int
    width: int
    components: int
    scan: int
    """Where the coded pixels of the first scan begin."""

    @property
    def plain(self) -> bool:
        """Whether `decode` reads it: sequential, 8 bits, one component."""
        return self.process in (0, 1) and self.bits == 8 and self.components == 1


def frame(data: bytes) -> Frame:
    """Read the markers up to the first scan (ITU-T T.81 annex B); refuse what is no whole JPEG."""
    if data[:2] != _START:
        raise RefusedFile("JPEG-DAMAGED", "the compressed picture does not begin as a JPEG does")
    place, size = 2, None
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            raise RefusedFile("JPEG-DAMAGED", "the JPEG's header is damaged")
        marker = data[place + 1]
        if marker == 0xFF:  # fill byte
            place += 1
            continue
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        if marker in _SOF or marker == 0xF7:
            size = data[place + 4 : place + 10]
            process = marker & 0xF
        if marker == _SOS:
            break
        place += 2 + length
    if size is None or len(size) < 6 or place + 4 > len(data):
        raise RefusedFile("JPEG-CUT", "the JPEG is cut off within its header")
    height, width = int.from_bytes(size[1:3], "big"), int.from_bytes(size[3:5], "big")
    return Frame(process, size[0], height, width, size[5], place + 2 + length)


def frame_2000(data: bytes) -> Frame:
    """Read the size segment of a JPEG 2000 code stream, bare or in a file's boxes (ITU-T T.800 annex A.5.1)."""
    start = data.find(_SIZE_2000)
    if start < 0 or len(data) < start + 43:
        raise RefusedFile("JPEG-DAMAGED", "the compressed picture does not begin as JPEG 2000 does")
    right, bottom, left, top = (
        int.from_bytes(data[start + 8 + i : start + 12 + i], "big") for i in range(0, 16, 4)
    )
    components, bits = int.from_bytes(data[start + 40 : start + 42], "big"), (data[start + 42] & 0x7F) + 1
    return Frame(_PROCESS_2000, bits, bottom - top, right - left, components, start)


def check_end(data: bytes, start: int = 0) -> None:
    """Refuse a JPEG, JPEG-LS or JPEG 2000 stream without its end marker, FFD9 in all three, from `start` on.

    The coded pixels never hold these two bytes, but a thumbnail in the header may: start after it.
    """
    if data.rfind(_END, start) < 0:
        raise RefusedFile("JPEG-CUT", "the compressed picture is cut off: its end marker is missing")


def decode(data: bytes, side: int | None = None, header: Frame | None = None) -> NDArray[np.uint8]:
    """Decode a plain frame to (H, W) uint8, scaled down while both sides stay at least `side` pixels.

    `header` is what `frame` found, where that was asked already. Scaling happens in the inverse cosine transform (libjpeg's
    scale_denom), which costs less than decoding in full and differs from an area average by one grey level at most. Threads
    run this side by side.
    """
    header = header or frame(data)
    if not header.plain:
        raise RefusedFile(
            "JPEG-KIND",
            f"not an 8-bit grey sequential JPEG ({header.bits} bits, {header.components} components)",
        )
    check_size(header.height, header.width)
    check_end(data, header.scan)
    factor = _factor(header, side)
    flags = _REDUCED[factor] | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise RefusedFile("JPEG-DAMAGED", "the JPEG is damaged")
    if pixels.shape != (-(-header.height // factor), -(-header.width // factor)):
        raise RefusedFile(
            "JPEG-DAMAGED", f"the JPEG decodes to {pixels.shape[::-1]} pixels, its header says otherwise"
        )
    if _ends_grey(pixels, header, factor) and jpeg_scan.count_blocks(data) < _blocks(header):
        raise RefusedFile("JPEG-CUT", "the JPEG is cut off: its last rows are missing")
    return pixels  # type: ignore[return-value]


def _blocks(header: Frame) -> int:
    return -(-header.height // _BLOCK) * -(-header.width // _BLOCK)


def _ends_grey(pixels: NDArray[Any], header: Frame, factor: int) -> bool:
    """Say whether the last block is all mid grey, which libjpeg fills in for blocks that are missing."""
    corner = pixels[_last(header.height) // factor :, _last(header.width) // factor :].tobytes()
    # NumPy's comparison, tiny as it is, wakes the 512-bit units and so slows the next decoding by a twentieth.
    return not corner.strip(_FILLED)


def _last(side: int) -> int:
    """Return where the last block of a side begins."""
    return (side - 1) // _BLOCK * _BLOCK


def _factor(header: Frame, side: int | None) -> int:
    """Return the strongest reduction that leaves both sides at least `side` pixels."""
    if side is None:
        return 1
    shorter = min(header.height, header.width)
    return next((factor for factor in (8, 4, 2) if -(-shorter // factor) >= side), 1)
