"""Decode the one frame of a DICOM file to stored pixel values."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
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
PLUGINS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((*JPEG, *JPEG_2000), ("pylibjpeg",)),
    **dict.fromkeys(JPEG_LS, ("pyjpegls", "pylibjpeg")),  # each reads files that the other refuses
    uid.RLELossless: ("pydicom",),
}
"""Decoders for each transfer syntax, in order of preference; by default pydicom takes any that is installed."""

NO_PICTURES = (uid.SegmentationStorage, uid.RTDoseStorage, uid.ParametricMapStorage)
"""SOP classes whose pixel data is not a picture."""
GREY = ("MONOCHROME1", "MONOCHROME2")
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "YBR_PARTIAL_420", "YBR_PARTIAL_422")
PALETTE = "PALETTE COLOR"

_ITEM, _DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_PADDING = (_DELIMITER, b"\xfc\xff\xfc\xff", b"")
"""What may follow the fragments: the sequence's end, trailing padding (FFFC,FFFC), nothing."""
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP")
"""First bytes of JPEG, JPEG-LS, JPEG 2000 and a JP2 file."""


class Stored(NamedTuple):
    """Decoded pixels."""

    codes: NDArray[Any]
    """(H, W) or, of colour pictures, (H, W, 3); uint8 or uint16: bits as stored, two's complement where signed."""
    bits: int
    """Bits of a code that carry grey."""


def check(header: Header, data: PixelData) -> tuple[int, int]:
    """Refuse all but one frame in a supported transfer syntax and photometric interpretation; return height and width."""
    sop_class, frames = header.text("SOPClassUID"), header.numbers("NumberOfFrames")
    if sop_class in NO_PICTURES:
        raise RefusedFile("DICOM-NO-PICTURE", f"holds no picture ({uid_name(sop_class)})")
    if frames and frames[0] > 1:
        raise RefusedFile("DICOM-FRAMES", f"{frames[0]:.0f} frames; a radiograph has one")
    _check_photometric(header)
    height, width = header.integer("Rows"), header.integer("Columns")
    if height is None or width is None:
        raise RefusedFile("DICOM-ROWS", "Rows or Columns is missing")
    check_size(height, width)
    _check_bits(header)
    _check_syntax(header.syntax, data.length)
    return height, width


def photometric(header: Header) -> str:
    """Return the photometric interpretation in upper case; empty when missing."""
    return (header.text("PhotometricInterpretation") or "").upper()


def samples(header: Header) -> int:
    """Return the samples per pixel that the photometric interpretation requires."""
    return 3 if photometric(header) in COLOURS else 1


def bits(header: Header) -> tuple[int, int]:
    """Return BitsAllocated and BitsStored; BitsAllocated is used for BitsStored when that is missing."""
    allocated = header.integer("BitsAllocated") or 0
    return allocated, header.integer("BitsStored") or allocated


def decode(header: Header, data: PixelData, shape: tuple[int, int], side: int | None = None) -> Stored:
    """Decode to stored values.

    With `side`, 8-bit grey JPEG comes scaled down while both sides stay at least that long; all else at full size.
    """
    if header.syntax in NATIVE:
        return Stored(_native(header, data, shape), bits(header)[1])
    frame = encoded(data)
    if header.syntax == uid.RLELossless:
        return Stored(_compressed(frame, header, shape), bits(header)[1])
    found = jpeg.frame_2000(frame) if header.syntax in JPEG_2000 else jpeg.frame(frame)
    _check_frame(found, header, shape)
    if header.syntax in JPEG and found.plain:
        pixels = jpeg.decode(frame, side, found)
        return Stored(pixels if bits(header)[0] == 8 else pixels.astype(np.uint16), bits(header)[1])
    jpeg.check_end(frame, found.scan)
    jpeg.check_work(frame, found)
    codes = _compressed(jpeg.with_whole_spectrum(frame, found), header, shape)
    return Stored(codes, _carried_bits(header, codes, found.bits))


def encoded(data: PixelData) -> bytes:
    """Join the fragments of the one frame (PS3.5 A.4); refuse what is cut off or holds several frames.

    The offset table is not used: devices write odd ones.
    """
    parts = _fragments(data.value)
    if parts and not parts[0].startswith(_STARTS):  # nearly always; without a table the picture comes first
        parts = parts[1:]
    frame = b"".join(parts)
    if not frame:
        raise RefusedFile("DICOM-FRAGMENTS", "no picture in the pixel data")
    pictures = sum(part.startswith(_STARTS) or _starts_rle(part) for part in parts)
    if pictures > 1:
        raise RefusedFile("DICOM-FRAMES", f"{pictures} pictures in the pixel data; a radiograph has one")
    return frame


def _fragments(value: memoryview) -> list[bytes]:
    parts, place = [], 0
    while value[place : place + 4] == _ITEM:
        length = int.from_bytes(value[place + 4 : place + 8], "little")
        part = value[place + 8 : place + 8 + length]
        if len(part) < length:
            raise RefusedFile(
                "DICOM-CUT",
                f"the file is cut off: it has only {len(part):,} of the picture's {length:,} bytes",
            )
        parts.append(bytes(part))
        place += 8 + length
    rest = bytes(value[place : place + 4])
    if rest not in _PADDING and any(rest):
        raise RefusedFile(
            "DICOM-FRAGMENTS", "the compressed pixel data is damaged: a fragment has a wrong length"
        )
    return parts


def _starts_rle(part: bytes) -> bool:
    """Say whether a fragment begins with an RLE header (PS3.5 G.5): up to 15 segments, the first behind the header."""
    return 1 <= int.from_bytes(part[:4], "little") <= 15 and part[4:8] == b"\x40\0\0\0"


def _check_photometric(header: Header) -> None:
    kind, count = photometric(header), header.integer("SamplesPerPixel")
    if not kind:
        raise RefusedFile(
            "DICOM-PHOTOMETRIC", "PhotometricInterpretation is missing: greyscale polarity unknown"
        )
    if kind not in (*GREY, *COLOURS, PALETTE):
        raise RefusedFile("DICOM-COLOUR", f"photometric interpretation {kind[:16]!a} is not supported")
    if count not in (samples(header), None):
        raise RefusedFile("DICOM-COLOUR", f"not a grey picture ({kind}, {count} samples per pixel)")


def _check_bits(header: Header) -> None:
    allocated, stored = bits(header)
    if allocated not in (8, 16):
        raise RefusedFile("DICOM-BITS", f"{allocated} bits per pixel; only 8 and 16 are supported")
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


def _check_frame(found: jpeg.Frame, header: Header, shape: tuple[int, int]) -> None:
    """Refuse a compressed frame that contradicts the header, before a decoder allocates what it claims."""
    if (found.height, found.width) != shape:
        raise RefusedFile(
            "DICOM-MISMATCH",
            f"the header says {shape[1]} x {shape[0]} pixels, but the JPEG in it has {found.width} x {found.height}",
        )
    if found.components != samples(header):
        raise RefusedFile(
            "DICOM-MISMATCH",
            f"the JPEG has {found.components} components, but the header says {samples(header)}",
        )
    if found.bits > bits(header)[0]:
        raise RefusedFile(
            "DICOM-MISMATCH",
            f"the JPEG has {found.bits} bits per pixel, but BitsAllocated is {bits(header)[0]}",
        )


def _carried_bits(header: Header, codes: Pixels, coded: int) -> int:
    """Return the bits that carry grey: BitsStored, or those of the code stream where values need more of them.

    Overlays may lie in the bits above (PS3.5 8.1.1); a file that holds one says so.
    """
    stored = bits(header)[1]
    if coded <= stored or _has_overlay(header) or int(codes.max()) < 1 << stored:
        return stored
    header.note(f"the code stream holds {coded} bits, but BitsStored is {stored}; all of them are read")
    return coded


def _has_overlay(header: Header) -> bool:
    """Say whether an OverlayBitPosition (60xx,0102) is there."""
    return any(tag >> 24 == 0x60 and tag & 0xFFFF == 0x0102 for tag in header.elements)


def _native(header: Header, data: PixelData, shape: tuple[int, int]) -> Pixels:
    """Take uncompressed pixels as they lie in the file (PS3.5 8.1), unused bits cleared."""
    allocated, stored = bits(header)
    count = shape[0] * shape[1] * samples(header)
    if photometric(header) == "YBR_FULL_422":  # two pixels share their chroma
        count = count // 3 * 2
    need = count * allocated // 8
    value = data.value[: data.length]
    if len(value) < need:
        raise RefusedFile(
            "DICOM-CUT", f"the pixel data is cut off: it has only {len(value):,} of {need:,} bytes"
        )
    _check_excess(header, value[need:], need, shape[0])
    if (
        allocated == 8 and header.encoding.order == ">" and data.vr != b"OB"
    ):  # pairs of pixels in big-endian words
        words = np.frombuffer(value[: need + need % 2], np.uint16)
        return _arranged(words.byteswap().view(np.uint8)[:count], header, shape)
    codes = np.frombuffer(value[:need], f"{header.encoding.order}u{allocated // 8}")
    native = codes.astype(
        codes.dtype.newbyteorder("="), copy=False
    )  # a view of the file where the order is the machine's
    high = header.integer("HighBit")
    shift = max(high - stored + 1, 0) if high is not None and high < allocated else 0
    native = np.right_shift(native, shift, dtype=native.dtype) if shift else native
    return _arranged(native, header, shape)


def _arranged(codes: NDArray[Any], header: Header, shape: tuple[int, int]) -> NDArray[Any]:
    """Arrange codes as (H, W), or colour as (H, W, samples)."""
    if samples(header) == 1:
        return codes.reshape(shape)
    if header.integer("PlanarConfiguration") == 1 and len(codes) == 3 * shape[0] * shape[1]:
        return codes.reshape(3, *shape).transpose(1, 2, 0)
    return codes.reshape(*shape, -1)


def _check_excess(header: Header, rest: memoryview, need: int, height: int) -> None:
    """Refuse pixel data that exceeds the declared size by a row or more, unless the rest is one padding byte repeated."""
    if len(rest) < max(need // height, 2):
        return
    if len(rest) >= need or rest != bytes(rest[:1]) * len(rest):
        raise RefusedFile(
            "DICOM-LENGTH",
            f"{need + len(rest):,} bytes of pixel data, but the size in the header needs {need:,}",
        )
    header.note(f"{len(rest):,} bytes of padding follow the pixels")


def _compressed(frame: bytes, header: Header, shape: tuple[int, int]) -> NDArray[Any]:
    """Let pydicom's plugins decode one frame, in a process of their own."""
    allocated, stored = bits(header)
    count = samples(header)
    options: dict[str, Any] = {
        "rows": shape[0],
        "columns": shape[1],
        "number_of_frames": 1,
        "samples_per_pixel": count,
        "photometric_interpretation": photometric(header) if count == 3 else "MONOCHROME2",
        "planar_configuration": 0,
        "bits_allocated": allocated,
        "bits_stored": stored,
        "pixel_representation": (header.integer("PixelRepresentation") or 0) if count == 1 else 0,
        "pixel_keyword": "PixelData",
    }
    try:
        pixels = sandbox.decode(frame, header.syntax, PLUGINS[header.syntax], options)
    except RefusedFile as refusal:
        name = uid_name(header.syntax)
        raise RefusedFile(refusal.code, f"the {name} picture cannot be decoded: {refusal.reason}") from None
    return pixels.view(np.uint8 if pixels.dtype.itemsize == 1 else np.uint16)
