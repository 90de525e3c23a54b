"""From stored values to the greys that a viewer displays first (PS3.3 C.11.1, C.11.2, C.11.6; PS3.4 N.2).

Modality transformation, then the value-of-interest window, then the photometric interpretation: each is a
function of the stored value alone, and a stored value has at most 16 bits. So all of it is computed once
for each possible value, and the picture takes one look-up.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.decoding.radiograph import Pixels, RefusedFile, full_range
from imaging.dicom.header import Header
from imaging.dicom.parser import items
from imaging.dicom.pixels import Stored, bits, photometric

BRAIN = (40.0, 120.0)
"""Centre and width in Hounsfield units of the window for CT: that of PhysioNet's ct-ich. The scanner's own window is ignored;
otherwise the same density would have a different grey in each hospital."""
_CT = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
"""SOP classes of CT, enhanced CT and legacy converted enhanced CT (PS3.4 B.5)."""
_ROWS = 256

_SHAPES_GREY = (
    "ModalityLUTSequence",
    "VOILUTSequence",
    "WindowWidth",
    "PixelPaddingValue",
)


def display(header: Header, stored: Stored) -> Pixels:
    """Turn stored values (H, W) into greys, uint8 or uint16; what was odd is noted in the header.

    Bits above `stored.bits` are ignored (they may hold overlays).
    """
    if is_plain(header):
        if _inverted(header):
            return ~stored.codes
        return stored.codes if stored.codes.flags.writeable else stored.codes.copy()
    grey = table(header, stored)
    mask, out = stored.codes.dtype.type(len(grey) - 1), np.empty(stored.codes.shape, grey.dtype)
    for start in range(0, len(out), _ROWS):  # in pieces: `take` widens its indices to 8 bytes
        rows = slice(start, start + _ROWS)
        np.take(grey, stored.codes[rows] & mask, out=out[rows], mode="clip")
    return out


def is_plain(header: Header) -> bool:
    """Say whether the stored values are 8-bit greys already, or their inverse."""
    if (
        bits(header) != (8, 8)
        or header.integer("PixelRepresentation") == 1
        or header.text("SOPClassUID") in _CT
    ):
        return False
    return _rescale(header) == (1, 0) and not any(header.has(keyword) for keyword in _SHAPES_GREY)


def table(header: Header, stored: Stored) -> Pixels:
    """Return the grey of each stored value, (2**bits,) uint8 or uint16.

    uint8 for at most 8 bits and no look-up table in the file, else uint16 over the full range. Where the file
    has no window: 8 bits keep their full range; for more, the darkest and brightest of the codes become black
    and white, since 12 or 16 bits are seldom filled.
    """
    meant = _stored_values(header, stored.bits)
    padding = _padding(header, meant)
    values, modality_lut = _modality(header, meant)
    grey, voi_lut = _window(header, values)
    if grey is None:
        seen = values[_occurring(stored, padding)]
        grey = full_range(values, seen.min(), seen.max())
    if _inverted(header):
        grey = 1 - grey
    grey[padding] = 0
    if len(meant) <= 256 and not (modality_lut or voi_lut):
        return np.rint(grey * 255).astype(np.uint8)
    return np.rint(grey * 65535).astype(np.uint16)


def _stored_values(header: Header, bits_stored: int) -> NDArray[np.float64]:
    """Return the number that each code means: itself, or its two's complement if signed."""
    count = 2**bits_stored
    values = np.arange(count, dtype=np.float64)
    if header.integer("PixelRepresentation") == 1:
        values[count // 2 :] -= count
    return values


def _padding(header: Header, stored: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mark the stored values that mean "outside the picture" (C.7.5.1.1.2): one value, or a range."""
    signed = header.integer("PixelRepresentation") == 1
    value = header.integers("PixelPaddingValue", signed)
    if not value:
        return np.zeros(len(stored), np.bool_)
    limit = header.integers("PixelPaddingRangeLimit", signed) or value
    low, high = sorted((value[0], limit[0]))
    return (stored >= low) & (stored <= high)


def _modality(header: Header, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], bool]:
    """Apply the modality table, or else slope and intercept (C.11.1); say whether it was a table."""
    signed = header.integer("PixelRepresentation") == 1
    for item in _tables(header, "ModalityLUTSequence"):
        first, entries, _ = _lut(item, signed)
        return _look_up(values, first, entries), True
    slope, intercept = _rescale(header)
    with np.errstate(over="ignore", invalid="ignore"):
        rescaled = values * slope + intercept
    if not np.isfinite(rescaled).all():
        raise RefusedFile("DICOM-NUMBER", "RescaleSlope and RescaleIntercept give values that are not finite")
    return rescaled, False


def _rescale(header: Header) -> tuple[float, float]:
    """Return slope and intercept; refuse them if present but not readable, since they may invert the picture."""
    slope, intercept = header.numbers("RescaleSlope"), header.numbers("RescaleIntercept")
    if slope is None or intercept is None:
        keyword = "RescaleSlope" if slope is None else "RescaleIntercept"
        raise RefusedFile("DICOM-NUMBER", f"{keyword} is not a number")
    if slope and slope[0] == 0:
        header.note("RescaleSlope is 0; slope and intercept are left out")
        return 1.0, 0.0
    return (slope or [1.0])[0], (intercept or [0.0])[0]


def _window(header: Header, values: NDArray[np.float64]) -> tuple[NDArray[np.float64] | None, bool]:
    """Apply the first VOI table, or else the first window (C.11.2): greys 0..1; None for neither. CT: the brain window."""
    if header.text("SOPClassUID") in _CT:
        if not (header.has("RescaleIntercept") or header.has("ModalityLUTSequence")):
            header.note("CT without RescaleIntercept: stored values are taken as Hounsfield units")
        return window(values, *BRAIN), False
    for item in _tables(header, "VOILUTSequence"):
        first, entries, depth = _lut(item, bool(values.min() < 0))
        return np.clip(_look_up(values, first, entries) / (2**depth - 1), 0, 1), True
    centre, width = header.numbers("WindowCenter"), header.numbers("WindowWidth")
    if centre is None or width is None:
        header.note("the window is not a number and is left out")
    elif bool(centre) != bool(width):
        header.note("the window lacks its centre or its width and is left out")
    if not centre or not width:
        return None, False
    function = (header.text("VOILUTFunction") or "LINEAR").upper()
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        header.note(f"VOI LUT function {function[:16]!a} is unknown and is taken as LINEAR")
        function = "LINEAR"
    if width[0] < (1 if function == "LINEAR" else np.finfo(float).tiny):
        header.note(f"window width {width[0]:g} is not valid and the window is left out")
        return None, False
    return window(values, centre[0], width[0], function), False


def window(
    values: NDArray[np.float64], centre: float, width: float, function: str = "LINEAR"
) -> NDArray[np.float64]:
    """Map values to 0..1 by a window (C.11.2.1.2 LINEAR, C.11.2.1.3.1 SIGMOID, C.11.2.1.3.2 LINEAR_EXACT)."""
    if function == "SIGMOID":
        return 1 / (
            1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700))
        )  # exp(709) is the last finite one
    if function == "LINEAR_EXACT":
        return np.clip((values - centre) / width + 0.5, 0, 1)
    if width == 1:  # a step: LINEAR divides by width - 1
        return (values > centre - 0.5).astype(np.float64)
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)


def _occurring(stored: Stored, padding: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the codes that define black and white: all codes for 8 bits, those that occur for more."""
    count = 2**stored.bits
    if count <= 256:
        return np.ones(count, np.bool_)
    levels = 256 ** int(stored.codes.dtype.itemsize)
    histogram = cv2.calcHist(
        [stored.codes], [0], None, [levels], [0, levels]
    )  # NumPy's would take 8 bytes a pixel
    occurring = (histogram.reshape(-1, count) > 0).any(
        axis=0
    ) & ~padding  # codes that differ only in ignored bits count as one
    return occurring if occurring.any() else ~occurring


def _inverted(header: Header) -> bool:
    """Say whether low values are bright; MONOCHROME1 together with the shape INVERSE inverts only once (C.11.6)."""
    shape = (header.text("PresentationLUTShape") or "").upper()
    return photometric(header) == "MONOCHROME1" or shape == "INVERSE"


def _tables(header: Header, keyword: str) -> Iterator[Header]:
    """Yield the tables of a sequence; those without a descriptor, as some toolkits write, are noted and left out."""
    for item in items(header, keyword):
        if item.raw("LUTDescriptor"):
            yield item
        else:
            header.note(f"{keyword} has no descriptor and is left out")


def _lut(item: Header, signed: bool) -> tuple[int, NDArray[np.float64], int]:
    """Read a table: the first value mapped, its entries, and their bits (C.11.1.1.1)."""
    descriptor = item.integers("LUTDescriptor")
    if len(descriptor) != 3 or not 8 <= descriptor[2] <= 16:
        raise RefusedFile("DICOM-LUT", f"the look-up table's descriptor {descriptor[:4]} is not valid")
    count = descriptor[0] or 2**16
    first = item.integers("LUTDescriptor", signed)[1]
    data = item.raw("LUTData")
    packed = len(data) < 2 * count and descriptor[2] == 8  # 8-bit entries may be packed two in a word
    entries = np.frombuffer(data, np.uint8) if packed else np.array(item.integers("LUTData")[:count])
    if len(entries) < count:
        raise RefusedFile("DICOM-LUT", f"the look-up table has {len(entries)} entries instead of {count}")
    return first, entries[:count].astype(np.float64), descriptor[2]


def _look_up(values: NDArray[np.float64], first: int, entries: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map values by a table; those outside it take its first or last entry."""
    return entries[np.clip(np.rint(values - first), 0, len(entries) - 1).astype(np.intp)]
