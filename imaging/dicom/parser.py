"""The structure of a DICOM file: where its header ends and its pixel data begins (PS3.5 7, PS3.10 7)."""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_partial
from pydicom.tag import BaseTag

from imaging.decoding.radiograph import MAX_BYTES, RefusedFile
from imaging.dicom.header import Header, uid_name

PIXEL_DATA = 0x7FE00010
_SHORT = struct.Struct("<HH2sH").unpack_from
_LONG = struct.Struct("<L").unpack_from
_SHORT_HEADER = frozenset(
    [b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS", b"ST",
     b"TM", b"UI", b"UL", b"US"]
)  # fmt: skip
_LONG_HEADER = frozenset([b"OB", b"OW", b"UC", b"UR", b"UT"])
"""Value representations whose length has four bytes. Sequences and unknown ones are not among them."""


# pydicom quotes header values in its warnings, patients' names among them: they do not belong in a log or a
# notebook. For the process as a whole, since switching within a call is not safe with threads.
warnings.filterwarnings("ignore", module=r"pydicom\b")
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

FLOAT_PIXEL_DATA = (0x7FE00008, 0x7FE00009)
UNDEFINED = 0xFFFFFFFF

_FOREIGN = (
    "FILE-FOREIGN",
    "neither a DICOM file nor a picture of a kind that is read (PNG, JPEG, BMP, TIFF)",
)

_LONG_HEADERS = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
"""Value representations whose length has four bytes in explicit encoding (PS3.5 7.1.2)."""

_EXPLICIT = frozenset(map(str, uid.AllTransferSyntaxes)) - {
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
}
"""Transfer syntaxes whose data set is explicit little endian as it stands in the file."""

Place = tuple[Dataset, str, bytes, int]
"""A data set, its transfer syntax, the bytes it was read from, and how far."""


@dataclass(frozen=True)
class PixelData:
    """The pixel data element as it stands in the file."""

    value: memoryview
    """From the first byte of the value to the end of the file."""
    length: int
    """The declared length; UNDEFINED for encapsulated data."""
    vr: str | None
    """OB or OW; None in implicit encoding, which means OW."""


def parse(data: bytes) -> tuple[Header, PixelData]:
    """Find the header and the pixel data of a file's bytes; refuse what is no DICOM picture."""
    if (regular := _scan(data)) is not None:
        return regular
    found: list[tuple[str | None, int]] = []

    def at_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
        number = int(tag)  # comparing tags as such takes a tenth of the reading time
        if number in FLOAT_PIXEL_DATA:
            raise RefusedFile("DICOM-FLOAT", "floating-point pixels; a radiograph has whole numbers")
        if number == PIXEL_DATA:
            found.append((vr, length))
        return number == PIXEL_DATA

    try:
        dataset, syntax, data, place = _read(data, at_pixels)
    except RefusedFile:
        raise
    except Exception as error:  # damaged bytes fail anywhere within pydicom, with any error
        if not is_dicom(data):
            raise RefusedFile(*_FOREIGN) from None
        raise RefusedFile("DICOM-DAMAGED", f"the DICOM header is damaged ({type(error).__name__})") from None
    header = Header(dataset, syntax)
    if not found:
        raise _no_pixels(header, data)
    return header, _pixel_data(data, place, *found[0])


def _scan(data: bytes) -> tuple[Header, PixelData] | None:
    """The same of a regular file, without pydicom."""
    syntax, start = _file_meta(data)
    if syntax not in _EXPLICIT:
        return None
    found = scan(data, start)
    if found is None:
        return None
    return Header(None, syntax, found.values), _pixel_data(data, found.place, found.vr, found.length)


def _pixel_data(data: bytes, place: int, vr: str | None, length: int) -> PixelData:
    return PixelData(memoryview(data)[place + (12 if vr in _LONG_HEADERS else 8) :], length, vr)


def is_dicom(data: bytes) -> bool:
    """Say whether the 128-byte preamble and the letters DICM are there (PS3.10 7.1)."""
    return data[128:132] == b"DICM"


def _read(data: bytes, stop_when: Any) -> Place:
    """Read the data set up to the pixel data."""
    syntax, start = _file_meta(data)
    if (
        syntax in uid.AllTransferSyntaxes
    ):  # as files should be; twice as fast as pydicom's reading of any file
        if syntax == uid.DeflatedExplicitVRLittleEndian:
            data, start = _inflate(data[start:]), 0
        buffer = BytesIO(data)
        buffer.seek(start)
        implicit, little = syntax == uid.ImplicitVRLittleEndian, syntax != uid.ExplicitVRBigEndian
        return read_dataset(buffer, implicit, little, stop_when=stop_when), syntax, data, buffer.tell()
    buffer = BytesIO(data)
    file = read_partial(buffer, stop_when, force=True)
    syntax = Header(file.file_meta).text("TransferSyntaxUID") or ""
    if not syntax:  # no file meta information: pydicom guessed the encoding from the first element
        no_vr, least_first = file.original_encoding
        explicit = uid.ExplicitVRLittleEndian if least_first else uid.ExplicitVRBigEndian
        syntax = uid.ImplicitVRLittleEndian if no_vr else explicit
    return file, syntax, data, buffer.tell()


def _file_meta(data: bytes) -> tuple[str, int]:
    """Find the transfer syntax and the end of the file meta information; "" and 0 when it is irregular."""
    if not is_dicom(data) or data[132:140] != b"\x02\0\0\0UL\x04\0":
        return "", 0
    end = 144 + int.from_bytes(data[140:144], "little")
    place = data.find(b"\x02\0\x10\0UI", 144, end)
    if place < 0 or data[end : end + 2] == b"\x02\0":
        return "", 0
    length = int.from_bytes(data[place + 6 : place + 8], "little")
    return data[place + 8 : place + 8 + length].decode("latin-1").strip("\0 "), end


def _inflate(data: bytes) -> bytes:
    """Inflate a deflated data set. A little file can inflate to any size, so this stops at MAX_BYTES."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    body = inflater.decompress(data, MAX_BYTES)
    if inflater.unconsumed_tail:
        raise RefusedFile("DICOM-DEFLATE", f"inflates to more than {MAX_BYTES:,} bytes")
    return body


def _no_pixels(header: Header, data: bytes) -> RefusedFile:
    kind = header.text("SOPClassUID")
    if header.text("SOPInstanceUID") is None and header.integer("Rows") is None and not is_dicom(data):
        return RefusedFile(*_FOREIGN)
    name = uid_name(kind) if kind else "no SOP class"
    if header.integer("Rows") is not None:
        return RefusedFile("DICOM-NO-PIXELS", f"the pixel data is missing ({name}); is the file cut off?")
    return RefusedFile("DICOM-NO-PICTURE", f"holds no picture ({name})")


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
