"""Regular files are read without pydicom, and what is found is what pydicom finds."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.filereader import read_dataset
from pydicom.uid import JPEGBaseline8Bit

from imaging.dicom import parser
from imaging.dicom.parser import PIXEL_DATA, scan
from tests.imaging import dicom_files

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


def by_pydicom(data: bytes) -> dict[int, Any]:
    """Values as pydicom finds them, unconverted."""
    stop = lambda tag, vr, length: int(tag) == PIXEL_DATA  # noqa: E731
    found = read_dataset(BytesIO(data), False, True, stop_when=stop)
    return {int(tag): item.value for tag, item in found.items()}


tags = st.builds(lambda group, number: group << 16 | number, st.integers(2, 0x50), st.integers(0, 0xFFFF))
elements = st.dictionaries(
    tags, st.tuples(st.sampled_from(SHORT + LONG), st.binary(max_size=20)), max_size=12
).map(lambda found: b"".join(element(tag, *found[tag]) for tag in sorted(found)))


@given(elements)
@settings(deadline=None)
def test_regular_elements_are_those_of_pydicom(data: bytes) -> None:
    found = scan(data + PIXELS, 0)
    assert found is not None
    assert {tag: value or None for tag, value in found.values.items()} == {
        tag: value or None for tag, value in by_pydicom(data + PIXELS).items()
    }
    assert (found.place, found.vr, found.length) == (len(data), "OB", 16)


@given(elements, st.data())
@settings(deadline=None, max_examples=300)
def test_of_damaged_elements_nothing_is_found_that_pydicom_does_not_find(data: bytes, draw: Any) -> None:
    damaged = bytearray(data + PIXELS)
    for _ in range(draw.draw(st.integers(1, 4))):
        damaged[draw.draw(st.integers(0, len(damaged) - 1))] = draw.draw(st.integers(0, 255))
    found = scan(bytes(damaged), 0)
    if found is not None:
        values = by_pydicom(bytes(damaged))
        assert {tag: value or None for tag, value in found.values.items()} == {
            tag: value or None for tag, value in values.items()
        }


@pytest.mark.parametrize(
    "data",
    [
        b"",
        element(*NAME, b"A^B "),
        element(*NAME, b"A^B ") + PIXELS[:6],
        element(*NAME, b"A^B ", declared=4000) + PIXELS,
        element(*ROWS, b"\1\0") + element(*NAME, b"A^B ") + PIXELS,
        element(*NAME, b"A^B ") * 2 + PIXELS,
        element(0x00283000, b"SQ", b"") + PIXELS,
        element(0x00091001, b"UN", b"ab") + PIXELS,
        element(0x00091001, b"OB", b"", declared=0xFFFFFFFF) + PIXELS,
        element(0x7FE00008, b"OF", b"\0" * 8) + PIXELS,
        b"\x10\0\x10\0\4\0\0\0A^B " + PIXELS,
    ],
    ids=[
        "nothing", "no pixel data", "cut off", "longer than the file", "descending", "twice", "a sequence",
        "of unknown kind", "of undefined length", "floating-point pixels", "implicit",
    ],
)  # fmt: skip
def test_what_is_not_regular_is_left_to_pydicom(data: bytes) -> None:
    assert scan(data, 0) is None


def test_a_phantoms_file_is_regular(tmp_path: Path) -> None:
    picture = np.full((16, 16), 100, np.uint8)
    path = dicom_files.write_frame(tmp_path / "a.dcm", dicom_files.jpeg(picture), JPEGBaseline8Bit, picture)
    header, pixels = parser.parse(path.read_bytes())
    assert header.scanned is not None
    assert (header.integer("Rows"), header.text("PhotometricInterpretation"), pixels.vr) == (
        16,
        "MONOCHROME2",
        "OB",
    )


def test_real_files_are_regular(real_siim: Path) -> None:
    paths = sorted(real_siim.rglob("*.dcm"))
    assert paths
    for path in paths:
        data = path.read_bytes()
        header, _ = parser.parse(data)
        _, start = parser._file_meta(data)
        assert header.scanned is not None
        expected = {tag: value or b"" for tag, value in by_pydicom(data[start:]).items()}
        assert header.scanned == expected
