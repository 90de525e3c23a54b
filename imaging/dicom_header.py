"""The header of a DICOM file: read without decoding pixels, without warnings, without trusting it.

pydicom finds the elements. Their values are taken raw: real archives hold invalid UIDs and ages, over which
pydicom's conversion warns or stops, while all that is needed here is a stripped text or a little number.
"""

from __future__ import annotations

import logging
import re
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_partial
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from imaging.radiograph import MAX_BYTES, Facts, RefusedFile

# pydicom quotes header values in its warnings, patients' names among them: they do not belong in a log or a
# notebook. For the process as a whole, since switching within a call is not safe with threads.
warnings.filterwarnings("ignore", module=r"pydicom\b")
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

PIXEL_DATA = 0x7FE00010
FLOAT_PIXEL_DATA = (0x7FE00008, 0x7FE00009)
UNDEFINED = 0xFFFFFFFF

_LONG_HEADERS = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
"""Value representations whose length has four bytes in explicit encoding (PS3.5 7.1.2)."""


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
        element = self.dataset.get_item(_tag(keyword))
        value = getattr(element, "value", None)
        if isinstance(value, str):  # pydicom itself has converted the transfer syntax
            return value.encode()
        return value if isinstance(value, bytes) else b""

    def text(self, keyword: str) -> str | None:
        """Return the first value of a text element, stripped; None when absent or blank."""
        return next(iter(self.texts(keyword)), None)

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
    found: list[tuple[str | None, int]] = []

    def at_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
        number = int(tag)  # comparing tags as such takes a tenth of the reading time
        if number in FLOAT_PIXEL_DATA:
            raise RefusedFile("floating-point pixels; a radiograph has whole numbers")
        if number == PIXEL_DATA:
            found.append((vr, length))
        return number == PIXEL_DATA

    try:
        dataset, syntax, data, place = _read(data, at_pixels)
    except RefusedFile:
        raise
    except Exception as error:  # damaged bytes fail anywhere within pydicom, with any error
        reason = "the DICOM header is damaged" if is_dicom(data) else "not a DICOM file"
        raise RefusedFile(f"{reason} ({type(error).__name__})") from None
    header = Header(dataset, syntax)
    if not found:
        raise RefusedFile(_why_no_pixels(header, data))
    vr, length = found[0]
    start = place + (12 if vr in _LONG_HEADERS else 8)
    return header, PixelData(memoryview(data)[start:], length, vr)


def is_dicom(data: bytes) -> bool:
    """Say whether the 128-byte preamble and the letters DICM are there (PS3.10 7.1)."""
    return data[128:132] == b"DICM"


def _read(data: bytes, stop_when: Any) -> tuple[Dataset, str, bytes, int]:
    """Read the data set up to the pixel data: data set, transfer syntax, bytes it was read from, place of the
    stop."""
    body = _inflate(data)
    if body is not None:
        buffer = BytesIO(body)
        dataset = read_dataset(buffer, False, True, stop_when=stop_when)
        return dataset, uid.DeflatedExplicitVRLittleEndian, body, buffer.tell()
    buffer = BytesIO(data)
    file = read_partial(buffer, stop_when, force=True)
    syntax = Header(file.file_meta).text("TransferSyntaxUID") or ""
    if not syntax:  # no file meta information: pydicom guessed the encoding from the first element
        implicit, little = file.original_encoding
        explicit = uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian
        syntax = uid.ImplicitVRLittleEndian if implicit else explicit
    return file, syntax, data, buffer.tell()


def _inflate(data: bytes) -> bytes | None:
    """Return the inflated data set of a deflated file, None for all others.

    A little file can inflate to any size, so this stops at MAX_BYTES; pydicom would not.
    """
    if not is_dicom(data) or data[132:136] != b"\x02\0\0\0":
        return None
    end = 144 + int.from_bytes(data[140:144], "little")  # group length, the first element (PS3.10 7.1)
    if f"{uid.DeflatedExplicitVRLittleEndian}".encode() not in data[144:end].replace(b"\0", b""):
        return None
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    body = inflater.decompress(data[end:], MAX_BYTES)
    if inflater.unconsumed_tail:
        raise RefusedFile(f"inflates to more than {MAX_BYTES:,} bytes")
    return body


def uid_name(text: str) -> str:
    """Return what a UID stands for, or the UID itself, or a word for what is none (it may be any part of the
    file)."""
    if not re.fullmatch(r"[0-9.]{1,64}", text):
        return "with an invalid UID"
    return uid.UID_dictionary[text][0] if text in uid.UID_dictionary else text


def _why_no_pixels(header: Header, data: bytes) -> str:
    kind = header.text("SOPClassUID")
    if header.text("SOPInstanceUID") is None and header.integer("Rows") is None and not is_dicom(data):
        return "not a DICOM file"
    name = uid_name(kind) if kind else "no SOP class"
    if header.integer("Rows") is not None:
        return f"the pixel data is missing ({name}); is the file cut off?"
    return f"holds no picture ({name})"


def facts(header: Header, height: int, width: int, notes: tuple[str, ...]) -> Facts:
    """Collect what the header says about the picture."""
    age, spacing = header.text("PatientAge"), spacing_mm(header)
    years = age_in_years(age)
    if age is not None and years is None:
        notes = (*notes, "the patient's age is not valid and is left out")
    return Facts(
        height=height,
        width=width,
        spacing_mm=spacing,
        patient_id=header.text("PatientID"),
        sex=sex if (sex := (header.text("PatientSex") or "").upper()) in ("M", "F", "O") else None,
        age=years,
        view=(header.text("ViewPosition") or "").upper() or None,
        study_uid=header.text("StudyInstanceUID"),
        series_uid=header.text("SeriesInstanceUID"),
        sop_uid=header.text("SOPInstanceUID"),
        sop_class=header.text("SOPClassUID"),
        transfer_syntax=header.syntax,
        photometric=header.text("PhotometricInterpretation"),
        bits=header.integer("BitsStored"),
        notes=notes,
    )


def age_in_years(text: str | None) -> int | None:
    """Read an age string (AS, `018M`) or a bare number of years as SIIM has it; None when it is no age of a
    person."""
    if not text:
        return None
    number, unit = (text[:-1], text[-1].upper()) if text[-1].isalpha() else (text, "Y")
    per_year = {"Y": 1, "M": 12, "W": 52, "D": 365}.get(unit)
    if per_year is None or not (number.isascii() and number.isdigit()):
        return None
    years = int(number) // per_year
    return years if years <= 120 else None


def spacing_mm(header: Header) -> tuple[float, float] | None:
    """Row and column spacing: in the patient where calibrated (PixelSpacing), else at the detector
    (ImagerPixelSpacing)."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        values = header.numbers(keyword)
        if len(values) == 2 and min(values) > 0:
            return values[0], values[1]
    return None
