"""The structure of a DICOM file: where its elements are and where its pixel data begins (PS3.5 7, PS3.10 7).

One pass over the element headers: no value is converted or copied, sequences are skipped and parsed only when asked for.
Work and memory are bounded by MAX_ELEMENTS whatever the file declares.
"""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom import uid

from imaging.decoding.radiograph import MAX_SIDE, RefusedFile
from imaging.dicom.header import Element, Encoding, Header, encoding_of, tag_of, uid_name

MAX_ELEMENTS = 50_000
"""Element headers that are read; a radiograph has a few hundred. This many take about 0.1 s and 15 MB."""
MAX_DEPTH = 32
"""Sequences within sequences."""
MAX_HEADER = 2**24
"""Bytes of a deflated data set before its pixel data."""
UNDEFINED = 0xFFFFFFFF

PIXEL_DATA = 0x7FE00010
FLOAT_PIXEL_DATA = (0x7FE00008, 0x7FE00009)
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_DELIMITER = b"\xfe\xff\xdd\xe0\0\0\0\0"
_SYNTAX = 0x00020010
_SHORT = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()
)  # 2 bytes of length (PS3.5 7.1.2)
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())  # 2 reserved bytes and 4 of length
_FOREIGN = (
    "FILE-FOREIGN",
    "neither a DICOM file nor a supported picture (PNG, JPEG, BMP, TIFF)",
)
_HEADS = {order: struct.Struct(f"{order}HH2sH").unpack_from for order in "<>"}
_LENGTHS = {order: struct.Struct(f"{order}L").unpack_from for order in "<>"}

# pydicom quotes header values in its warnings, patients' names among them: they do not belong in a log or a
# notebook. For the process as a whole, since switching within a call is not safe with threads.
warnings.filterwarnings("ignore", module=r"pydicom\b")
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

Head = tuple[int, bytes, int, int]
"""Of an element: tag, value representation, length of the value, where the value begins."""


@dataclass(frozen=True)
class PixelData:
    """The pixel data element as it stands in the file."""

    value: memoryview
    """From the first byte of the value to the end of the file."""
    length: int
    """The declared length; UNDEFINED for encapsulated data."""
    vr: bytes
    """OB or OW; empty in implicit encoding, which means OW."""


def parse(data: bytes) -> tuple[Header, PixelData]:
    """Find the header and the pixel data in a file's bytes; RefusedFile when it is not a DICOM picture."""
    syntax, start, encoding = _file_meta(data)
    if syntax == uid.DeflatedExplicitVRLittleEndian:
        data, start = _inflate(data[start:]), 0
    scan = _Scan(data, encoding)
    found, pixels = scan.top_level(start)
    header = Header(data, found, syntax, encoding)
    if pixels is None:
        raise _no_pixels(header)
    _, vr, length, place = pixels
    return header, PixelData(memoryview(data)[place:], length, vr)


def items(header: Header, sequence: int | str) -> Iterator[Header]:
    """Yield the items of a sequence, named by tag or keyword; RefusedFile when it is damaged."""
    tag = tag_of(sequence) if isinstance(sequence, str) else sequence
    element = header.elements.get(tag, Element(b"SQ", 0, 0))
    encoding = header.encoding
    if element.vr == b"UN":  # PS3.5 6.2.2
        encoding = encoding._replace(explicit=False)
    scan, place = _Scan(header.data, encoding, element.stop), element.start
    while place + 8 <= element.stop:
        tag, length, place = scan.delimiter(place)
        if tag == _ITEM:
            stop = element.stop if length == UNDEFINED else min(place + length, element.stop)
            found, place = scan.item(place, stop, 1)
            yield Header(header.data, found, header.syntax, encoding, header.notes)
        elif length:
            raise RefusedFile("DICOM-SEQUENCE", "a required sequence is damaged")


def is_dicom(data: bytes) -> bool:
    """Say whether the 128-byte preamble and the letters DICM are there (PS3.10 7.1)."""
    return data[128:132] == b"DICM"


class _Scan:
    """One pass over the element headers of `data` up to `end`, which counts what it reads."""

    def __init__(self, data: bytes, encoding: Encoding, end: int | None = None) -> None:
        self.data, self.encoding = data, encoding
        self.end = len(data) if end is None else end
        self.left = MAX_ELEMENTS
        self.unpack, self.length = _HEADS[encoding.order], _LENGTHS[encoding.order]

    def top_level(self, place: int) -> tuple[dict[int, Element], Head | None]:
        """Read the elements before the pixel data, and the head of the pixel data element where there is one."""
        found: dict[int, Element] = {}
        while place + 8 <= self.end:
            tag, vr, length, start = self.head(place)
            if tag == PIXEL_DATA:
                return found, (tag, vr, length, start)
            if tag in FLOAT_PIXEL_DATA:
                raise RefusedFile("DICOM-FLOAT", "floating-point pixels; only integer pixels are supported")
            if tag < 0x10000:  # the command group is never in a file, but zeros look like it
                raise RefusedFile("DICOM-DAMAGED", "the DICOM header is damaged (an element of group 0)")
            place = start + length if length != UNDEFINED else self._sequence_end(start, vr, 1)
            if place > self.end:
                break
            found[tag] = Element(vr, start, place)
        return found, None

    def item(self, place: int, stop: int, depth: int) -> tuple[dict[int, Element], int]:
        """Read the elements of an item, to `stop` or its delimiter; return where reading goes on."""
        found: dict[int, Element] = {}
        while place + 8 <= stop:
            tag, vr, length, start = self.head(place)
            if tag in (_ITEM_END, _SEQUENCE_END):
                return found, start if tag == _ITEM_END else place
            place = start + length if length != UNDEFINED else self._sequence_end(start, vr, depth + 1)
            if place > stop:
                raise RefusedFile("DICOM-SEQUENCE", "an element is longer than the item that holds it")
            found[tag] = Element(vr, start, place)
        return found, stop

    def head(self, place: int) -> Head:
        """Read an element's tag, value representation and length."""
        self._count()
        group, number, vr, length = self.unpack(self.data, place)
        tag = group << 16 | number
        if not self.encoding.explicit or group == 0xFFFE:
            return tag, b"", self.length(self.data, place + 4)[0], place + 8
        if vr in _SHORT:
            return tag, vr, length, place + 8
        if vr in _LONG and place + 12 <= self.end:
            return tag, vr, self.length(self.data, place + 8)[0], place + 12
        return self._odd_head(place, tag, vr, length)

    def delimiter(self, place: int) -> tuple[int, int, int]:
        """Read an item's or a delimiter's tag, its length and where its value begins (PS3.5 7.5)."""
        self._count()
        group, number, _, _ = self.unpack(self.data, place)
        return group << 16 | number, self.length(self.data, place + 4)[0], place + 8

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise RefusedFile("DICOM-ELEMENTS", f"more than {MAX_ELEMENTS:,} elements in the header")

    def _odd_head(self, place: int, tag: int, vr: bytes, short: int) -> Head:
        """Read an element of unknown value representation: take the layout that is followed by a later element.

        Writers use the long form (as the standard asks), the short one, or implicit encoding in an explicit file.
        """
        (implicit,) = self.length(self.data, place + 4)
        forms = [(vr, short, place + 8), (b"", implicit, place + 8)]
        if place + 12 <= self.end and self.data[place + 6 : place + 8] == b"\0\0":
            forms.insert(0, (vr, self.length(self.data, place + 8)[0], place + 12))
        if not vr.strip(b"?").isupper() and vr != b"??":
            forms.reverse()
        for kind, length, start in forms:
            if self._follows(tag, start, length):
                return tag, kind, length, start
        raise RefusedFile("DICOM-DAMAGED", "the DICOM header is damaged (an unknown value representation)")

    def _follows(self, tag: int, start: int, length: int) -> bool:
        """Say whether a later element, or the end, is where an element of this length ends."""
        if length == UNDEFINED:
            return start + 8 <= self.end and self.data[start : start + 2] in (b"\xfe\xff", b"\xff\xfe")
        if start + length + 8 > self.end:
            return start + length == self.end
        group, number, _, _ = self.unpack(self.data, start + length)
        return tag < (group << 16 | number) and (
            group >> 8 == tag >> 24 or group <= 0x7FE0 or group >= 0xFFFC
        )

    def _sequence_end(self, place: int, vr: bytes, depth: int) -> int:
        """Return where a value of undefined length ends: a sequence, or fragments of an icon's pixels."""
        if depth > MAX_DEPTH:
            raise RefusedFile("DICOM-SEQUENCE", f"sequences are nested more than {MAX_DEPTH} deep")
        encoding, (inside, self.encoding) = (
            self.encoding,
            (vr, self.encoding._replace(explicit=vr != b"UN" and self.encoding.explicit)),
        )
        try:
            while place + 8 <= self.end:
                tag, length, start = self.delimiter(place)
                if tag == _SEQUENCE_END:
                    return start
                if tag == _ITEM and length == UNDEFINED and inside not in (b"OB", b"OW"):
                    place = self.item(start, self.end, depth)[1]
                elif tag in (_ITEM, _ITEM_END):
                    place = start + length
                else:  # an item that is longer than it says: go on after the sequence
                    end = self.data.find(_DELIMITER, start - 8, self.end)
                    if end < 0:
                        break
                    return end + 8
        finally:
            self.encoding = encoding
        raise RefusedFile("DICOM-SEQUENCE", "a sequence of undefined length has no end")


def _file_meta(data: bytes) -> tuple[str, int, Encoding]:
    """Read the transfer syntax, where the data set begins and how it is written.

    The group's length (0002,0000) is not used: many anonymisers leave a wrong one. Without a transfer syntax the
    first element reveals the encoding.
    """
    start = 132 if is_dicom(data) else 0
    if not start and data[:2] not in (b"\x02\0", b"\x08\0", b"\0\x08"):
        raise RefusedFile(*_FOREIGN)
    scan, syntax = _Scan(data, Encoding()), ""
    while data[start : start + 2] == b"\x02\0" and start + 8 <= len(data):
        tag, _, length, place = scan.head(start)
        if tag == _SYNTAX:
            syntax = data[place : place + min(length, 64)].decode("latin-1").strip("\0 ")
        start = place + length
    if len(data) < start + 8:
        raise RefusedFile(
            *(_FOREIGN if not is_dicom(data) else ("DICOM-CUT", "the file is cut off in its header"))
        )
    explicit = data[start + 4 : start + 6] in _SHORT | _LONG
    if syntax:
        declared = encoding_of(syntax)
        deflated = syntax == uid.DeflatedExplicitVRLittleEndian
        return syntax, start, declared._replace(explicit=deflated or explicit or declared.explicit)
    if data[start : start + 2] == b"\0\x08":
        return uid.ExplicitVRBigEndian, start, Encoding(True, ">")
    syntax = uid.ExplicitVRLittleEndian if explicit else uid.ImplicitVRLittleEndian
    return syntax, start, Encoding(explicit)


def _inflate(data: bytes) -> bytes:
    """Inflate a deflated data set: its header, then no more than the pixel data that the header declares.

    A small file can inflate to any size, so the header gives the limit before the pixels are inflated.
    """
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        head = inflater.decompress(data, MAX_HEADER)
        if not inflater.unconsumed_tail:
            return head
        found, pixels = _Scan(head, Encoding()).top_level(0)
        if pixels is None:
            raise RefusedFile("DICOM-DEFLATE", f"no pixel data in the first {MAX_HEADER:,} inflated bytes")
        need = pixels[3] + min(pixels[2], _most_pixel_bytes(Header(head, found))) - len(head)
        return head + inflater.decompress(inflater.unconsumed_tail, max(need, 1))
    except zlib.error:
        raise RefusedFile("DICOM-DEFLATE", "the deflated data set is damaged") from None


def _most_pixel_bytes(header: Header) -> int:
    """Return an upper bound on the bytes of the picture that a header declares: twice its size at 16 bits per sample."""
    side = [min(header.integer(keyword) or 0, MAX_SIDE) for keyword in ("Rows", "Columns")]
    return 2 * 2 * (header.integer("SamplesPerPixel") or 1) * side[0] * side[1] + 2


def _no_pixels(header: Header) -> RefusedFile:
    kind = header.text("SOPClassUID")
    if header.text("SOPInstanceUID") is None and header.integer("Rows") is None and not is_dicom(header.data):
        return RefusedFile(*_FOREIGN)
    name = uid_name(kind) if kind else "no SOP class"
    if header.integer("Rows") is not None:
        return RefusedFile("DICOM-NO-PIXELS", f"the pixel data is missing ({name}); is the file cut off?")
    return RefusedFile("DICOM-NO-PICTURE", f"holds no picture ({name})")
