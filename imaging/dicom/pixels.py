"""The one frame of a DICOM file, decoded to stored pixel values and nothing more."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydicom import uid

from imaging.decoding import jpeg, sandbox
from imaging.decoding.radiograph import Pixels, RefusedFile, check_size
from imaging.dicom.header import Header, uid_name
from imaging.dicom.parser import UNDEFINED, PixelData

NATIVE = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
)
JPEG = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1)
JPEG_LS = (uid.JPEGLSLossless, uid.JPEGLSNearLossless)
JPEG_2000 = (uid.JPEG2000Lossless, uid.JPEG2000, uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K)
PLUGINS: dict[str, str] = {
    **dict.fromkeys((*JPEG, *JPEG_2000), "pylibjpeg"),
    **dict.fromkeys(JPEG_LS, "pyjpegls"),
    uid.RLELossless: "pydicom",
}
"""Who decodes which transfer syntax; left to itself pydicom takes whatever else happens to be installed."""

NO_PICTURES = (uid.SegmentationStorage, uid.RTDoseStorage, uid.ParametricMapStorage)
"""SOP classes with pixel data that is no picture."""

_ITEM, _DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"


def check(header: Header, data: PixelData) -> tuple[int, int]:
    """Refuse all but one grey frame in a transfer syntax we read; return its height and width."""
    samples, photometric = header.integer("SamplesPerPixel"), header.text("PhotometricInterpretation")
    frames, sop_class = header.numbers("NumberOfFrames"), header.text("SOPClassUID")
    if sop_class in NO_PICTURES:
        raise RefusedFile("DICOM-NO-PICTURE", f"holds no picture ({uid_name(sop_class)})")
    if frames and frames[0] > 1:
        raise RefusedFile("DICOM-FRAMES", f"{frames[0]:.0f} frames; a radiograph has one")
    if photometric is None:
        raise RefusedFile(
            "DICOM-PHOTOMETRIC",
            "PhotometricInterpretation is missing: nobody can say whether bright is dense or thin",
        )
    if photometric not in ("MONOCHROME1", "MONOCHROME2") or samples not in (1, None):
        raise RefusedFile(
            "DICOM-COLOUR", f"not a grey picture ({photometric[:16]}, {samples} samples a pixel)"
        )
    height, width = header.integer("Rows"), header.integer("Columns")
    if height is None or width is None:
        raise RefusedFile("DICOM-ROWS", "Rows or Columns is missing")
    check_size(height, width)
    _check_bits(header)
    _check_syntax(header.syntax, data.length)
    return height, width


def bits(header: Header) -> tuple[int, int]:
    """Return BitsAllocated and BitsStored; the first stands for the second when that is missing."""
    allocated = header.integer("BitsAllocated") or 0
    return allocated, header.integer("BitsStored") or allocated


def encoded(data: PixelData) -> bytes:
    """Join the fragments of the one frame (PS3.5 A.4); refuse what is cut off or holds several frames."""
    parts, value, place = [], data.value, 0
    while value[place : place + 4] == _ITEM:
        length = int.from_bytes(value[place + 4 : place + 8], "little")
        part = value[place + 8 : place + 8 + length]
        if len(part) < length:
            raise RefusedFile(
                "DICOM-CUT",
                f"the file is cut off: {len(part):,} of {length:,} bytes of the picture are there",
            )
        parts.append(part)
        place += 8 + length
    if value[place : place + 4] not in (_DELIMITER, b""):
        raise RefusedFile("DICOM-FRAGMENTS", "the compressed pixel data is damaged")
    if not parts or len(parts[0]) > 4:
        raise RefusedFile(
            "DICOM-FRAGMENTS",
            "no picture in the pixel data" if not parts else f"{len(parts[0]) // 4} frames; one is read",
        )
    if len(parts) > 2 and sum(part[:2] == b"\xff\xd8" for part in parts[1:]) > 1:
        raise RefusedFile("DICOM-FRAMES", "several pictures in the pixel data; a radiograph has one")
    frame = b"".join(parts[1:])
    if not frame:
        raise RefusedFile("DICOM-FRAGMENTS", "no picture in the pixel data")
    return frame


def decode(header: Header, data: PixelData, shape: tuple[int, int], side: int | None = None) -> Pixels:
    """Decode to stored values (H, W), uint8 or uint16: the bits as stored, two's complement where signed.

    With `side`, 8-bit JPEG comes scaled down while both sides stay at least so long; all else at full size.
    """
    if header.syntax in NATIVE:
        return _native(header, data, shape)
    frame = encoded(data)
    if header.syntax == uid.RLELossless:
        return _compressed(frame, header, shape)
    found = jpeg.frame_2000(frame) if header.syntax in JPEG_2000 else jpeg.frame(frame)
    _check_frame(found, header, shape)
    if header.syntax in JPEG and found.plain:
        pixels = jpeg.decode(frame, side, found)
        return pixels if bits(header)[0] == 8 else pixels.astype(np.uint16)
    jpeg.check_end(frame, found.scan)
    return _compressed(frame, header, shape)


def _check_frame(found: jpeg.Frame, header: Header, shape: tuple[int, int]) -> None:
    """Refuse a compressed frame that contradicts the header, before a decoder allocates what it claims."""
    if (found.height, found.width) != shape:
        raise RefusedFile(
            "DICOM-MISMATCH",
            f"the header says {shape[1]} x {shape[0]} pixels, the JPEG within {found.width} x {found.height}",
        )
    if found.components != 1:
        raise RefusedFile(
            "DICOM-MISMATCH", f"the JPEG has {found.components} components, the header says grey"
        )
    if found.bits > bits(header)[0]:
        raise RefusedFile(
            "DICOM-MISMATCH", f"the JPEG has {found.bits} bits a pixel, BitsAllocated is {bits(header)[0]}"
        )


def _check_bits(header: Header) -> None:
    allocated, stored = bits(header)
    if allocated not in (8, 16):
        raise RefusedFile("DICOM-BITS", f"{allocated} bits a pixel; 8 and 16 are read")
    if not 1 <= stored <= allocated:
        raise RefusedFile("DICOM-BITS", f"BitsStored {stored} does not fit into BitsAllocated {allocated}")


def _check_syntax(syntax: str, length: int) -> None:
    if syntax not in NATIVE and syntax not in PLUGINS:
        raise RefusedFile("DICOM-SYNTAX", f"transfer syntax {uid_name(syntax)} is not supported")
    if (syntax in NATIVE) == (length == UNDEFINED):
        kind = "compressed" if length == UNDEFINED else "not compressed"
        raise RefusedFile(
            "DICOM-SYNTAX",
            f"transfer syntax {uid_name(syntax)}, but the pixel data is {kind}; the header is wrong",
        )


def _native(header: Header, data: PixelData, shape: tuple[int, int]) -> Pixels:
    """Take uncompressed pixels as they lie in the file (PS3.5 8.1), unused bits cleared."""
    allocated, stored = bits(header)
    count = shape[0] * shape[1]
    need = count * allocated // 8
    value = data.value[: data.length]
    if len(value) < need:
        raise RefusedFile(
            "DICOM-CUT", f"the pixel data is cut off: {len(value):,} of {need:,} bytes are there"
        )
    if len(value) - need >= max(need // shape[0], 2):
        raise RefusedFile(
            "DICOM-LENGTH", f"{len(value):,} bytes of pixel data where the header's size needs {need:,}"
        )
    if allocated == 8 and header.order == ">" and data.vr != "OB":  # pairs of pixels in big-endian words
        words = np.frombuffer(value[: need + need % 2], np.uint16)
        return words.byteswap().view(np.uint8)[:count].reshape(shape)
    codes = np.frombuffer(value[:need], f"{header.order}u{allocated // 8}").reshape(shape)
    native = codes.astype(
        codes.dtype.newbyteorder("=")
    )  # a copy, since the file's bytes cannot be written to
    high = header.integer("HighBit")
    shift = max(high - stored + 1, 0) if high is not None and high < allocated else 0
    return np.right_shift(native, shift, dtype=native.dtype) if shift else native


def _compressed(frame: bytes, header: Header, shape: tuple[int, int]) -> Pixels:
    """Let pydicom's plugins decode one frame, in a process of their own."""
    allocated, stored = bits(header)
    options: dict[str, Any] = {
        "rows": shape[0],
        "columns": shape[1],
        "number_of_frames": 1,
        "samples_per_pixel": 1,
        "photometric_interpretation": "MONOCHROME2",
        "bits_allocated": allocated,
        "bits_stored": stored,
        "pixel_representation": header.integer("PixelRepresentation") or 0,
        "pixel_keyword": "PixelData",
    }
    try:
        pixels = sandbox.decode(frame, header.syntax, PLUGINS[header.syntax], options)
    except RefusedFile as refusal:
        name = uid_name(header.syntax)
        raise RefusedFile(refusal.code, f"the {name} picture cannot be decoded: {refusal.reason}") from None
    return pixels.view(np.uint8 if pixels.dtype.itemsize == 1 else np.uint16)
