"""The elements of a DICOM header, taken as they stand in the file.

Real archives hold invalid UIDs and ages, over which pydicom's conversion of values warns or stops, while all
that is needed here is a stripped text or a little number.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from imaging.decoding.radiograph import RefusedFile

_BLANK = b"\0 \t\r\n"


@cache
def _tag(keyword: str) -> int:
    return int(Tag(keyword))


@dataclass(frozen=True)
class Header:
    """Elements of a data set, by keyword, as texts and numbers."""

    dataset: Dataset | None
    syntax: str = ""
    scanned: dict[int, bytes] | None = None
    """Values by tag where `dicom_scan` found them; there is no data set then, and no element is a sequence."""

    @cached_property
    def values(self) -> dict[int, Any]:
        """Unconverted values by tag; plain whole numbers as keys, since pydicom's tags compare in Python."""
        if self.dataset is None:
            return self.scanned or {}
        return {int(tag): getattr(element, "value", None) for tag, element in self.dataset.items()}

    def has(self, keyword: str) -> bool:
        """Say whether the element is there, with a value or without."""
        return _tag(keyword) in self.values

    def raw(self, keyword: str) -> bytes:
        """Return the value as stored; empty when absent."""
        value = self.values.get(_tag(keyword))
        if isinstance(value, str):  # pydicom itself has converted the transfer syntax
            return value.encode()
        return value if isinstance(value, bytes) else b""

    def text(self, keyword: str) -> str | None:
        """Return the first value of a text element, stripped; None when absent or blank."""
        value = self.values.get(_tag(keyword))
        # nearly always, and half the work
        if isinstance(value, bytes) and value.isascii() and b"\\" not in value:
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

    def numbers(self, keyword: str) -> list[float]:
        """Return all values of a decimal or integer string; none when any is no finite number."""
        try:
            values = [float(text) for text in self.texts(keyword)]
        except ValueError:
            return []
        return values if all(map(math.isfinite, values)) else []

    def integers(self, keyword: str, signed: bool = False) -> list[int]:
        """Return all values of a binary 16-bit element (US or SS)."""
        value = self.raw(keyword)
        count = len(value) // 2
        return list(struct.unpack_from(f"{self.order}{count}{'h' if signed else 'H'}", value))

    def integer(self, keyword: str) -> int | None:
        """Return the first value of a binary 16-bit element, unsigned; None when absent."""
        value = self.raw(keyword)[:2]
        return int.from_bytes(value, "big" if self.order == ">" else "little") if len(value) == 2 else None

    def items(self, keyword: str) -> Iterator[Header]:
        """Yield the items of a sequence."""
        try:
            sequence = self.dataset[keyword].value if self.dataset and keyword in self.dataset else []
        except Exception as error:  # a damaged sequence fails anywhere within pydicom
            raise RefusedFile("DICOM-SEQUENCE", f"{keyword} is damaged ({type(error).__name__})") from None
        for item in sequence if isinstance(sequence, Sequence) else []:
            yield Header(item, self.syntax)

    @property
    def order(self) -> str:
        """Byte order of binary values, `<` or `>`."""
        return ">" if self.syntax == uid.ExplicitVRBigEndian else "<"


def uid_name(text: str) -> str:
    """Return what a UID stands for, else the UID itself; what is none is not repeated, it may be anything."""
    if not re.fullmatch(r"[0-9.]{1,64}", text):
        return "with an invalid UID"
    return uid.UID_dictionary[text][0] if text in uid.UID_dictionary else text
