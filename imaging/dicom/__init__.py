"""Read a radiograph from a DICOM file: one grey frame of up to 16 bits, in the transfer syntaxes in use.

Pixels come out as a viewer would first display them, brighter = denser. What cannot be read is refused with a code and a
reason; no file is read partially. Modules: parser, header and groups (elements), metadata (facts), pixels (decoding), windowing
(modality transformation, window, inversion), colour (grey content stored as colour).
"""

from __future__ import annotations

from pathlib import Path

from imaging.decoding import budget
from imaging.decoding.radiograph import Facts, Radiograph, RefusedFile, load, naming, to_uint8
from imaging.dicom import colour, groups, metadata, parser, windowing
from imaging.dicom import pixels as frame

__all__ = ["Facts", "Radiograph", "RefusedFile", "decode", "read", "to_uint8"]


def read(path: str | Path, side: int | None = None) -> Radiograph:
    """Read a DICOM file; RefusedFile (a ValueError) names the file, a code and the reason when it cannot be read.

    Pixels are (H, W), uint8 for up to 8 stored bits without look-up tables in the file, else uint16 over the
    full range. Applied in this order: modality table or rescale, VOI table or the first window, inversion for
    MONOCHROME1 or the presentation shape INVERSE; pixel padding becomes black. See windowing.table for files
    without a window.

    With `side`, pixels are uint8 and may be reduced: both sides are at least `side`, or the original's where that is
    smaller; 8-bit JPEG decodes straight to 1/2, 1/4 or 1/8. The facts carry the original height and width. Thread-safe.
    """
    with naming(path):
        return decode(load(path), side)


def decode(data: bytes, side: int | None = None) -> Radiograph:
    """As `read`, from a file's bytes."""
    header, element = parser.parse(data)
    header = groups.flattened(header)
    height, width = shape = frame.check(header, element)
    with budget.hold(height * width):
        if colour.is_colour(header):
            pixels = colour.to_grey(header, frame.decode(header, element, shape))
        else:
            # averages of stored values are averages of greys only where the one is proportional to the other
            reduced = side if windowing.is_plain(header) else None
            pixels = windowing.display(header, frame.decode(header, element, shape, reduced))
        pixels = pixels if side is None else to_uint8(pixels)
    return Radiograph(pixels, metadata.facts(header, height, width))
