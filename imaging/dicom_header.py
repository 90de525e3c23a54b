"""The elements of a DICOM header, taken as they stand in the file.

Real archives hold invalid UIDs and ages, over which pydicom's conversion of values warns or stops, while all
that is needed here is a stripped text or a little number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from imaging.radiograph import RefusedFile


@cache
def _tag(keyword: str) -> BaseTag:
    return Tag(keyword)


@dataclass(frozen=True)
class Header:
    """Elements of a data set, by keyword, as texts and numbers."""

    dataset: Dataset
    syntax: str = ""

    def has(self, keyword: str) -> bool:
        """Say whether the element is there, with a value or without."""
        return _tag(keyword) in self.dataset

    def raw(self, keyword: str) -> bytes:
        """Return the value as stored; empty when absent."""
        try:
            element = self.dataset.get_item(_tag(keyword))
        except Exception as error:  # an unknown value representation, for one, stops pydicom only here
            raise RefusedFile(f"{keyword} is damaged ({type(error).__name__})") from None
        value = getattr(element, "value", None)
        if isinstance(value, str):  # pydicom itself has converted the transfer syntax
            return value.encode()
        return value if isinstance(value, bytes) else b""

    def text(self, keyword: str) -> str | None:
        """Return the first value of a text element, stripped; None when absent or blank."""
        return (self.texts(keyword) or [""])[0] or None

    def texts(self, keyword: str) -> list[str]:
        """Return all values of a text element; they are separated by backslashes (PS3.5 6.4)."""
        value = self.raw(keyword)
        try:
            text = value.decode("utf-8")
        except UnicodeDecodeError:
            text = value.decode("latin-1")
        parts = [part.strip("\0 \t\r\n") for part in text.split("\\")]
        return parts if any(parts) else []

    def numbers(self, keyword: str) -> list[float]:
        """Return all values of a decimal or integer string; none when any is no finite number."""
        try:
            values = [float(text) for text in self.texts(keyword)]
        except ValueError:
            return []
        return values if np.isfinite(values).all() else []

    def integers(self, keyword: str, signed: bool = False) -> list[int]:
        """Return all values of a binary 16-bit element (US or SS)."""
        value = self.raw(keyword)
        kind = self.order + ("i2" if signed else "u2")
        return np.frombuffer(value[: len(value) // 2 * 2], kind).tolist()

    def integer(self, keyword: str) -> int | None:
        """Return the first value of a binary 16-bit element, unsigned; None when absent."""
        return next(iter(self.integers(keyword)), None)

    def items(self, keyword: str) -> Iterator[Header]:
        """Yield the items of a sequence."""
        try:
            sequence = self.dataset[keyword].value if self.has(keyword) else []
        except Exception as error:  # a damaged sequence fails anywhere within pydicom
            raise RefusedFile(f"{keyword} is damaged ({type(error).__name__})") from None
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
