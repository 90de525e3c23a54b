"""JPEG with 8-bit grey pixels: one exact decode, or one straight to a half, a quarter or an eighth of the
size.

libjpeg fills the missing parts of a truncated or damaged file with grey and only warns, so its warnings are refusals here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from imaging.decoding.radiograph import RefusedFile, check_size

_START, _END = b"\xff\xd8", b"\xff\xd9"
_SIZE_2000 = b"\xff\x4f\xff\x51"
"""Start of a JPEG 2000 code stream and of its size segment."""
_PROCESS_2000 = 16
_SOS = 0xDA
_SOF = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # DHT, JPG and DAC share the range (ITU-T T.81 table B.1)
_BARE = {0x01, *range(0xD0, 0xD8), 0xFF}
"""Markers without a length: TEM, RST and the fill byte."""
_WHOLE_SPECTRUM = b"\0\x3f\0"
MAX_SCANS = 100
"""Scans of a progressive JPEG; encoders write about ten."""
MAX_WORK = 3 * 10**9
"""Pixels times scans: 20 scans of the largest picture."""
MAX_TILES = 4096
"""Tiles of a JPEG 2000 picture: 12,000 pixels a side in tiles of 256 have 2,209."""


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
    tiles: int = 1
    """Of JPEG 2000."""

    @property
    def plain(self) -> bool:
        """Whether `decode` reads it: sequential, 8 bits, one component."""
        return self.process in (0, 1) and self.bits == 8 and self.components == 1


def frame(data: bytes) -> Frame:
    """Read the markers up to the first scan (ITU-T T.81 annex B); refuse anything but a whole JPEG."""
    if data[:2] != _START:
        raise RefusedFile("JPEG-DAMAGED", "the compressed picture does not start with a JPEG marker")
    place, size, length, process = 2, b"", 0, 0
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            raise RefusedFile("JPEG-DAMAGED", "the JPEG's header is damaged")
        marker = data[place + 1]
        if marker in _BARE:
            place += 1 if marker == 0xFF else 2  # fill byte
            continue
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        if marker in _SOF or marker == 0xF7:
            if size:
                raise RefusedFile("JPEG-DAMAGED", "the JPEG declares its size twice")
            size, process = data[place + 4 : place + 10], marker & 0xF
        if marker == _SOS:
            break
        place += 2 + length
    if len(size) < 6 or place + 4 > len(data):
        raise RefusedFile("JPEG-CUT", "the JPEG is cut off within its header")
    height, width = int.from_bytes(size[1:3], "big"), int.from_bytes(size[3:5], "big")
    return Frame(process, size[0], height, width, size[5], place + 2 + length)


def frame_2000(data: bytes) -> Frame:
    """Read the size segment of a JPEG 2000 code stream, bare or in a file's boxes (ITU-T T.800 annexes A.5.1 and I)."""
    start = _code_stream(data)
    if data[start : start + 4] != _SIZE_2000 or len(data) < start + 43:
        raise RefusedFile("JPEG-DAMAGED", "the compressed picture does not start with a JPEG 2000 marker")
    right, bottom, left, top, across, down, tile_left, tile_top = (
        int.from_bytes(data[start + 8 + i : start + 12 + i], "big") for i in range(0, 32, 4)
    )
    components, bits = int.from_bytes(data[start + 40 : start + 42], "big"), (data[start + 42] & 0x7F) + 1
    subsampled = data[start + 43 : start + 42 + 3 * components]
    if any(step != 1 for place, step in enumerate(subsampled) if place % 3 < 2):
        raise RefusedFile("JPEG-KIND", "the JPEG 2000 picture is subsampled")
    tiles = -(-(right - tile_left) // max(across, 1)) * -(-(bottom - tile_top) // max(down, 1))
    return Frame(_PROCESS_2000, bits, bottom - top, right - left, components, start, tiles)


def _code_stream(data: bytes) -> int:
    """Return where the code stream begins: at once, or in the box `jp2c` of a JP2 file."""
    place = 0
    while data[place : place + 2] != _SIZE_2000[:2] and place + 8 <= len(data):
        length, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        head = 16 if length == 1 else 8
        if kind == b"jp2c":
            return place + head
        place += max(int.from_bytes(data[place + 8 : place + 16], "big") if length == 1 else length, head)
    return place


def check_end(data: bytes, start: int = 0) -> None:
    """Refuse a JPEG, JPEG-LS or JPEG 2000 stream without its end marker, FFD9 in all three, from `start` on.

    The coded pixels never hold these two bytes, but a thumbnail in the header may: start after it.
    """
    if data.rfind(_END, start) < 0:
        raise RefusedFile("JPEG-CUT", "the compressed picture is cut off: its end marker is missing")


def decode(data: bytes, side: int | None = None, header: Frame | None = None) -> NDArray[np.uint8]:
    """Decode a plain frame to (H, W) uint8, scaled down while both sides stay at least `side` pixels.

    `header` is the result of `frame`, if it was called already. Scaling happens in the inverse cosine transform (libjpeg's
    scale_denom), which costs less than decoding in full and differs from an area average by one grey level at most. Threads
    can run this in parallel.
    """
    header = header or frame(data)
    if not header.plain:
        raise RefusedFile(
            "JPEG-KIND",
            f"not an 8-bit grey sequential JPEG ({header.bits} bits, {header.components} components)",
        )
    check_size(header.height, header.width)
    check_end(data, header.scan)
    check_work(data, header)
    factor = _factor(header, side)
    shape = -(-header.height // factor), -(-header.width // factor)
    pixels = _strict(with_whole_spectrum(data, header), shape, factor)
    if pixels.shape != shape:
        raise RefusedFile(
            "JPEG-DAMAGED", f"the JPEG decodes to {pixels.shape[::-1]} pixels, which contradicts its header"
        )
    return pixels


def check_work(data: bytes, header: Frame) -> None:
    """Refuse files that take more work than any encoder's: each scan of a progressive JPEG passes over all pixels."""
    if not 0 < header.tiles <= MAX_TILES:
        raise RefusedFile(
            "JPEG-WORK",
            f"the JPEG 2000 picture declares {header.tiles:,} tiles; at most {MAX_TILES:,} are read",
        )
    scans = 1 if header.process == _PROCESS_2000 else data.count(b"\xff\xda", max(header.scan - 14, 0))
    if scans > MAX_SCANS or scans * header.height * header.width > MAX_WORK:
        raise RefusedFile("JPEG-WORK", f"the JPEG has {scans:,} scans; at most {MAX_SCANS} are read")


def with_whole_spectrum(data: bytes, header: Frame) -> bytes:
    """Return a sequential JPEG with the only parameters its scan may have: coefficients 0 to 63, no approximation.

    Some encoders leave zeros there; no other value is valid (ITU-T T.81 table B.3).
    """
    start = header.scan - 3
    if header.process not in (0, 1) or data[start : header.scan] == _WHOLE_SPECTRUM:
        return data
    return data[:start] + _WHOLE_SPECTRUM + data[header.scan :]


def _strict(data: bytes, shape: tuple[int, int], factor: int) -> NDArray[np.uint8]:
    """Decode, and refuse whatever libjpeg only warns about: it fills missing data with grey and carries on."""
    try:
        return simplejpeg.decode_jpeg(
            data, "GRAY", min_height=shape[0], min_width=shape[1], min_factor=factor, strict=True
        )[..., 0]
    except ValueError as error:
        warning = str(error).lower()
    if "extraneous" in warning:  # filler before the end marker; a second warning would show without it
        trimmed = data[: data.rfind(_END)].rstrip(b"\0\xff") + _END
        if len(trimmed) < len(data):
            return _strict(trimmed, shape, factor)
    if "premature end" in warning:
        raise RefusedFile("JPEG-CUT", "the JPEG is cut off: coded pixels are missing")
    raise RefusedFile("JPEG-DAMAGED", f"the JPEG is damaged: {warning[-80:]}")


def _factor(header: Frame, side: int | None) -> int:
    """Return the strongest reduction that leaves both sides at least `side` pixels."""
    if side is None:
        return 1
    shorter = min(header.height, header.width)
    return next((factor for factor in (8, 4, 2) if -(-shorter // factor) >= side), 1)
