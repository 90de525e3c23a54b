"""The study's modality and value-of-interest transformations, in the form that a presentation state holds (PS3.3 C.11.8).

highdicom copies them only where they follow the standard to the letter, and real headers often do not.
"""

from __future__ import annotations

import math

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from imaging.dicom.header import Header
from imaging.dicom.parser import items

MODALITY = ("ModalityLUTSequence", "RescaleIntercept", "RescaleSlope", "RescaleType")
VOI = ("VOILUTSequence", "WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "VOILUTFunction")
WINDOWS = 64
"""Most windows that are copied."""
_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def modality(header: Header) -> Dataset:
    """The valid elements of the modality transformation: a table, or slope and intercept, or nothing."""
    found, signed = Dataset(), header.integer("PixelRepresentation") == 1
    for item in items(header, "ModalityLUTSequence"):
        if table := _table(item, signed):
            table.ModalityLUTType = item.text("ModalityLUTType") or "US"  # unspecified
            found.ModalityLUTSequence = Sequence([table])
            return found
    slope, intercept = header.numbers("RescaleSlope") or [], header.numbers("RescaleIntercept") or []
    if (slope or intercept) and 0 not in slope[:1]:  # a missing one gets its neutral value
        found.RescaleIntercept = _short((intercept or [0.0])[0])
        found.RescaleSlope = _short((slope or [1.0])[0])
        found.RescaleType = header.text("RescaleType") or "US"
    return found


def voi(header: Header) -> Dataset:
    """The valid elements of the value-of-interest transformation: tables, else windows, or nothing.

    Where a header has both, the reader of this project takes the first table (imaging.dicom.windowing), and so does this.
    """
    found = Dataset()
    signed = header.integer("PixelRepresentation") == 1 or min(header.numbers("RescaleIntercept") or [0]) < 0
    tables = [
        table for item in items(header, "VOILUTSequence") if (table := _table(item, signed, scaled=True))
    ]
    if tables:
        found.VOILUTSequence = Sequence(tables)
        return found
    function = (header.text("VOILUTFunction") or "").upper()
    narrowest = 1.0 if function in ("", "LINEAR") else math.ulp(0.0)
    pairs = list(zip(*(header.numbers(name, WINDOWS) or [] for name in VOI[1:3]), strict=False))
    valid = [number for number, (_, width) in enumerate(pairs) if width >= narrowest]
    if not valid:
        return found
    found.WindowCenter, found.WindowWidth = ([_short(pairs[number][k]) for number in valid] for k in (0, 1))
    explanations = header.texts("WindowCenterWidthExplanation")
    if len(explanations) == len(pairs):
        found.WindowCenterWidthExplanation = [explanations[number][:64] for number in valid]
    if function in _FUNCTIONS:
        found.VOILUTFunction = function
    return found


def _table(item: Header, signed: bool, scaled: bool = False) -> Dataset | None:
    """A look-up table as an item with entries of 8 or 16 bits, as validators require; None when it is damaged.

    scaled: entries of 9 to 15 bits are fractions of the full range and are stretched to 16 bits; else they are kept as values.
    """
    descriptor = item.integers("LUTDescriptor")
    if len(descriptor) != 3 or not 8 <= descriptor[2] <= 16:
        return None
    count, data = descriptor[0] or 2**16, item.raw("LUTData")
    if len(data) < (count if descriptor[2] == 8 else 2 * count):
        return None
    first = item.integers("LUTDescriptor", signed)[1]
    if item.encoding.order == ">" or 8 < descriptor[2] < 16:
        words = np.frombuffer(data[: len(data) // 2 * 2], f"{item.encoding.order}u2").astype(np.float64)
        if scaled and descriptor[2] > 8:
            words = np.rint(np.minimum(words / (2 ** descriptor[2] - 1), 1) * 65535)
        data = words.astype("<u2").tobytes()
    descriptor[2] = 8 if descriptor[2] == 8 else 16
    table = Dataset()
    # The first value is signed where pixels are; explicit, since no PixelRepresentation says so in the new object.
    table.add(DataElement("LUTDescriptor", "SS" if first < 0 else "US", _signed(descriptor, first)))
    table.add(DataElement("LUTData", "OW", data + b"\0" * (len(data) % 2)))
    if explanation := item.text("LUTExplanation"):
        table.LUTExplanation = explanation[:64]
    return table


def _signed(descriptor: list[int], first: int) -> list[int]:
    """The descriptor as its representation holds it: a count of 65,536 entries is 0 in both, larger ones wrap in SS."""
    if first >= 0:
        return [descriptor[0], first, descriptor[2]]
    return [descriptor[0] if descriptor[0] < 2**15 else descriptor[0] - 2**16, first, descriptor[2]]


def _short(number: float) -> str:
    """A decimal string of at most 16 characters."""
    return f"{number:g}" if float(f"{number:g}") == number else f"{number:.9g}"[:16]
