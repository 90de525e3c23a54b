"""Headers, regular and irregular: what is found is what pydicom finds where that reads them."""

from __future__ import annotations

import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.filereader import read_dataset

from imaging.decoding.radiograph import RefusedFile
from imaging.dicom import parser
from imaging.dicom.parser import PIXEL_DATA

SHORT = [b"AE", b"AS", b"CS", b"DA", b"DS", b"IS", b"LO", b"PN", b"SH", b"TM", b"UI", b"US"]
LONG = [b"OB", b"OW", b"UT"]


def element(tag: int, vr: bytes, value: bytes, declared: int | None = None) -> bytes:
    """One element, explicit little endian (PS3.5 7.1.2)."""
    length = len(value) if declared is None else declared
    head = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little") + vr
    size = length.to_bytes(2, "little") if vr in SHORT else b"\0\0" + length.to_bytes(4, "little")
    return head + size + value


PIXELS = element(PIXEL_DATA, b"OB", b"\1\2\3\4" * 4)
NAME, ROWS = (0x00100010, b"PN"), (0x00280010, b"US")


def by_pydicom(data: bytes) -> dict[int, bytes]:
    """Values as pydicom finds them, unconverted."""
    stop = lambda tag, vr, length: int(tag) == PIXEL_DATA  # noqa: E731
    found = read_dataset(BytesIO(data), False, True, stop_when=stop)
    return {int(tag): item.value or b"" for tag, item in found.items()}


def dicom(data: bytes, syntax: bytes = b"1.2.840.10008.1.2.1\0", group_length: int | None = None) -> bytes:
    """A file of a data set, with its meta information."""
    meta = element(0x00020010, b"UI", syntax)
    length = len(meta) if group_length is None else group_length
    head = b"\x02\0\0\0UL\x04\0" + length.to_bytes(4, "little")
    return b"\0" * 128 + b"DICM" + head + meta + data


def by_us(data: bytes) -> dict[int, bytes]:
    header, _ = parser.parse(data)
    return {tag: header.data[start:stop] for tag, (_, start, stop) in header.elements.items()}


tags = st.builds(lambda group, number: group << 16 | number, st.integers(8, 0x50), st.integers(0, 0xFFFF))
elements = st.dictionaries(
    tags, st.tuples(st.sampled_from(SHORT + LONG), st.binary(max_size=20)), max_size=12
).map(lambda found: b"".join(element(tag, *found[tag]) for tag in sorted(found)))


@given(elements)
def test_regular_elements_are_those_of_pydicom(data: bytes) -> None:
    _, pixels = parser.parse(dicom(data + PIXELS))
    assert by_us(dicom(data + PIXELS)) == by_pydicom(data + PIXELS)
    assert (bytes(pixels.value), pixels.vr, pixels.length) == (b"\1\2\3\4" * 4, b"OB", 16)


@given(elements, st.data())
@settings(max_examples=300)
def test_damaged_elements_are_read_or_refused(data: bytes, draw: Any) -> None:
    damaged = bytearray(dicom(data + PIXELS))
    for _ in range(draw.draw(st.integers(1, 4))):
        damaged[draw.draw(st.integers(0, len(damaged) - 1))] = draw.draw(st.integers(0, 255))
    with suppress(RefusedFile):
        header, _ = parser.parse(bytes(damaged))
        list(parser.items(header, "VOILUTSequence"))


def sequence(content: bytes, item: int | None = 0xFFFFFFFF, whole: int = 0xFFFFFFFF) -> bytes:
    """An icon's sequence with one item, of undefined lengths unless given."""
    inside = b"\xfe\xff\x00\xe0" + (len(content) if item is None else item).to_bytes(4, "little") + content
    inside += b"\xfe\xff\x0d\xe0\0\0\0\0" if item == 0xFFFFFFFF else b""
    return element(0x00880200, b"SQ", inside + b"\xfe\xff\xdd\xe0\0\0\0\0", whole)


ICON = element(*ROWS, b"\5\0") + element(PIXEL_DATA, b"OB", b"\7" * 6)
FRAGMENTS = element(
    PIXEL_DATA,
    b"OB",
    b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\4\0\0\0\1\2\3\4\xfe\xff\xdd\xe0\0\0\0\0",
    0xFFFFFFFF,
)
WELL = element(*ROWS, b"\1\0")


@pytest.mark.parametrize(
    ("data", "least"),
    [
        (element(*NAME, b"A^B ") + WELL, 2),
        (WELL + element(*NAME, b"A^B "), 2),
        (element(*NAME, b"A^B ") * 2 + WELL, 2),
        (sequence(ICON) + WELL, 2),
        (sequence(FRAGMENTS) + WELL, 2),
        (sequence(ICON, item=None) + WELL, 2),
        (sequence(ICON, item=len(ICON) - 3) + WELL, 2),
        (element(0x00091001, b"UN", b"ab") + WELL, 2),
        (element(0x00091001, b"OB", b"ab") + WELL, 2),
        (b"\x09\0\1\x10??\0\0\4\0\0\0abcd" + WELL, 2),
        (b"\x09\0\1\x10??\4\0abcd" + WELL, 2),
        (b"\x09\0\1\x10ZZ\0\0\4\0\0\0abcd" + WELL, 2),
        (b"\x09\0\1\x10\4\0\0\0abcd" + WELL, 2),
    ],
    ids=[
        "ascending", "descending", "twice", "a sequence", "an icon's fragments", "an item of known length",
        "an item that is too short", "UN", "OB", "VR ?? long", "VR ?? short", "VR of the future", "implicit in between",
    ],
)  # fmt: skip
def test_irregular_headers_are_read(data: bytes, least: int) -> None:
    header, pixels = parser.parse(dicom(data + PIXELS))
    assert header.integer("Rows") == 1
    assert len(header.elements) == least
    assert pixels.length == 16


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "FILE-FOREIGN"),
        (b"\0" * 2**20, "FILE-FOREIGN"),
        (b"\0" * 128 + b"DICM", "DICOM-CUT"),
        (b"\0" * 128 + b"DICM" + b"\0" * 2**20, "DICOM-DAMAGED"),
        (dicom(element(*NAME, b"A^B ")), "DICOM-NO-PICTURE"),
        (dicom(WELL + PIXELS[:6]), "DICOM-NO-PIXELS"),
        (dicom(element(*NAME, b"A^B ", declared=4000) + PIXELS), "DICOM-NO-PICTURE"),
        (dicom(element(0x7FE00008, b"OF", b"\0" * 8) + PIXELS), "DICOM-FLOAT"),
        (dicom(element(0x00091001, b"LO", b"") * (parser.MAX_ELEMENTS + 1)), "DICOM-ELEMENTS"),
        (dicom(element(0x00091001, b"SQ", b"\xfe\xff\0\xe0\xff\xff\xff\xff", 0xFFFFFFFF) * 40), "DICOM-SEQUENCE"),
    ],
    ids=[
        "nothing", "zeros", "cut behind DICM", "zeros behind DICM", "no pixel data", "cut before the pixel data",
        "longer than the file", "floating-point pixels", "too many elements", "too deep",
    ],
)  # fmt: skip
def test_what_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(RefusedFile) as caught:
        parser.parse(data)
    assert caught.value.code == code


@pytest.mark.parametrize("length", [0, 2, 8, 20, 28, 30, 36, 100, 2**32 - 1])
def test_the_length_of_the_meta_group_is_not_believed(length: int) -> None:
    data = element(0x00080005, b"CS", b"ISO_IR 100") + element(*NAME, b"A^B ") + WELL + PIXELS
    assert set(by_us(dicom(data, group_length=length))) == {0x00080005, NAME[0], ROWS[0]}


def test_items_of_a_sequence() -> None:
    for item in (None, 0xFFFFFFFF):
        header, _ = parser.parse(dicom(sequence(ICON, item) + PIXELS))
        assert [icon.integer("Rows") for icon in parser.items(header, "IconImageSequence")] == [5]


def test_a_deflated_bomb_is_refused_before_it_is_inflated() -> None:
    deflated = b"1.2.840.10008.1.2.1.99"
    for body in (b"\0" * 2**25, WELL + element(PIXEL_DATA, b"OW", b"", 2**31) + b"\0" * 2**25):
        deflater = zlib.compressobj(wbits=-15)
        data = dicom(deflater.compress(body) + deflater.flush(), deflated)
        with suppress(RefusedFile):
            header, _ = parser.parse(data)
            assert len(header.data) < 2**24 + 100


def test_real_files_hold_what_pydicom_finds(real_siim: Path) -> None:
    paths = sorted(real_siim.rglob("*.dcm"))
    assert paths
    for path in paths:
        data = path.read_bytes()
        start = 144 + int.from_bytes(data[140:144], "little")
        assert by_us(data) == by_pydicom(data[start:])
