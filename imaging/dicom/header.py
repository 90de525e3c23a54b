"""The elements of a DICOM data set, as they are stored in the file.

Real archives hold invalid UIDs, ages and numbers, on which pydicom's conversion of values warns or fails, while all that
is needed here is a stripped text or a small number. Values stay where they are in the file until they are requested.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

_BLANK = b"\0 \t\r\n"
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
_BINARY = {b"US": "H", b"SS": "h", b"UL": "L", b"SL": "l", b"FL": "f", b"FD": "d"}
"""Value representations of binary numbers and their struct codes (PS3.5 6.2)."""


class Element(NamedTuple):
    """Where an element's value is stored."""

    vr: bytes
    """Value representation; empty in implicit encoding."""
    start: int
    stop: int


class Encoding(NamedTuple):
    """How elements are written (PS3.5 7.1)."""

    explicit: bool = True
    order: str = "<"
    """Byte order of binary values, `<` or `>`."""


EXPLICIT = Encoding()


@cache
def tag_of(keyword: str) -> int:
    """Return an element's tag as a plain integer: pydicom's own tags compare slowly."""
    return int(Tag(keyword))


@dataclass(frozen=True)
class Header:
    """Elements of a data set, by keyword, as texts and numbers."""

    data: bytes
    """The bytes that `elements` point into."""
    elements: dict[int, Element]
    syntax: str = ""
    encoding: Encoding = EXPLICIT
    notes: list[str] = field(default_factory=list)
    """What was odd and how it was read."""

    def note(self, text: str) -> None:
        """Record what was odd, once. Values are not quoted: they may hold anything."""
        if text not in self.notes:
            self.notes.append(text)

    def has(self, keyword: str) -> bool:
        """Say whether the element is there, with a value or without."""
        return tag_of(keyword) in self.elements

    def raw(self, keyword: str) -> bytes:
        """Return the value as stored; empty when absent."""
        element = self.elements.get(tag_of(keyword))
        return self.data[element.start : element.stop] if element else b""

    def text(self, keyword: str) -> str | None:
        """Return the first value of a text element, stripped; None when absent or blank."""
        value = self.raw(keyword)
        if value.isascii() and b"\\" not in value:  # nearly always, and half the work
            return value.strip(_BLANK).decode() or None
        return (self.texts(keyword) or [""])[0] or None

    def texts(self, keyword: str) -> list[str]:
        """Return all values of a text element; they are separated by backslashes (PS3.5 6.4)."""
        value = self.raw(keyword)
        try:
            text = value.decode("utf-8")
        except UnicodeDecodeError:
            text = value.decode("latin-1")
        parts = [part.strip(_BLANK.decode()) for part in text.split("\\")]
        return parts if any(parts) else []

    def numbers(self, keyword: str, count: int = 1) -> list[float] | None:
        """Return the first `count` numbers, text or binary; [] when absent or blank, None when one is not a finite number.

        A decimal comma is read as a point, with a note.
        """
        element = self.elements.get(tag_of(keyword))
        if element is None or element.start == element.stop:
            return []
        if element.vr in _BINARY:
            code = _BINARY[element.vr]
            found = min((element.stop - element.start) // struct.calcsize(f"={code}"), count)
            values = list(struct.unpack_from(f"{self.encoding.order}{found}{code}", self.data, element.start))
        else:
            values = [self._decimal(text, keyword) for text in self.texts(keyword)[:count]]
        return values if all(map(math.isfinite, values)) else None

    def _decimal(self, text: str, keyword: str) -> float:
        if _COMMA.fullmatch(text):
            self.note(f"{keyword} has a decimal comma, read as a point")
            text = text.replace(",", ".")
        return float(text) if _DECIMAL.fullmatch(text) else math.nan

    def integers(self, keyword: str, signed: bool = False) -> list[int]:
        """Return all values of a binary 16-bit element (US or SS)."""
        value = self.raw(keyword)
        count = len(value) // 2
        return list(struct.unpack_from(f"{self.encoding.order}{count}{'h' if signed else 'H'}", value))

    def integer(self, keyword: str) -> int | None:
        """Return the first value of a binary 16-bit element, unsigned; None when absent."""
        value = self.raw(keyword)[:2]
        order = "big" if self.encoding.order == ">" else "little"
        return int.from_bytes(value, order) if len(value) == 2 else None  # type: ignore[arg-type]


def of_dataset(dataset: Dataset, syntax: str = "") -> Header:
    """Return the header of a pydicom data set whose values are not converted yet; converted ones except texts are left out."""
    encoding, data = encoding_of(syntax), bytearray()
    elements = {}
    for tag, element in dataset.items():
        value = _stored(getattr(element, "value", None), encoding.order)
        if value is not None:
            parsed = not isinstance(element.value, bytes) and not isinstance(element.value, str)
            vr = b"UN" if parsed else (getattr(element, "VR", None) or "").encode()
            elements[int(tag)] = Element(vr, len(data), len(data) + len(value))
            data += value
    return Header(bytes(data), elements, syntax, encoding)


def _stored(value: Any, order: str) -> bytes | None:
    """Return a value as bytes; a sequence that pydicom has parsed is written in implicit encoding, as in UN (PS3.5 6.2.2)."""
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, Sequence):
        return value if isinstance(value, bytes) else None
    stored = b""
    for item in value:
        inside = b""
        for tag, element in item.items():
            content = _stored(getattr(element, "value", None), order) or b""
            inside += struct.pack(f"{order}HHL", tag.group, tag.element, len(content)) + content
        stored += struct.pack(f"{order}HHL", 0xFFFE, 0xE000, len(inside)) + inside
    return stored


def encoding_of(syntax: str) -> Encoding:
    """Return how the data set of a transfer syntax is written (PS3.5 10); an unknown one is explicit, little endian."""
    return Encoding(syntax != uid.ImplicitVRLittleEndian, ">" if syntax == uid.ExplicitVRBigEndian else "<")


def uid_name(text: str) -> str:
    """Return a UID's name, else the UID itself; an invalid one is not repeated, since it may hold anything."""
    if not re.fullmatch(r"[0-9.]{1,64}", text):
        return "with an invalid UID"
    return uid.UID_dictionary[text][0] if text in uid.UID_dictionary else text
