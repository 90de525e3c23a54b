"""Read a radiograph from a picture file: PNG, JPEG, TIFF or BMP, 8 or 16 bits, brighter = denser.

A picture holds no window, spacing or patient, so all of those are None.
"""

from __future__ import annotations

from imaging.decoding import budget, jpeg, sandbox
from imaging.decoding.pillow import declared_pixels, kind, orientation_note, page
from imaging.decoding.radiograph import Facts, Radiograph, to_uint8


def decode(data: bytes, side: int | None = None) -> Radiograph:
    """Read a picture's bytes; RefusedFile (a ValueError) gives code and reason.

    Pixels are (H, W), uint8, or uint16 for 16-bit grey files. Colour becomes luma (ITU-R BT.601), with a note where it really is
    colour. A 16-bit file whose values need fewer bits (10 to 15) is stretched between its darkest and its brightest value, the
    rule of imaging.dicom for more than 8 bits without a window. EXIF orientation is ignored, with a note: masks are drawn on
    the pixels as stored, and turning one of the two would misalign them. With `side`, pixels are uint8 and both sides have at
    least `side` pixels, or the original's. Refused: animations and several pages, damaged files, more than MAX_SIDE pixels a
    side, floats, CMYK.
    """
    if kind(data) == "JPEG" and (frame := jpeg.frame(data)).plain:
        with budget.hold(frame.height * frame.width):
            pixels = jpeg.decode(data, side)
        return Radiograph(pixels, _facts(frame.height, frame.width, 8, orientation_note(data)))
    # libtiff has had its share of crashes; zlib, libpng and libjpeg-turbo are the browsers' own and stay here
    with budget.hold(declared_pixels(data)):
        pixels, notes = sandbox.picture(data) if kind(data) == "TIFF" else page(data)
    facts = _facts(pixels.shape[0], pixels.shape[1], 8 * pixels.dtype.itemsize, notes)
    return Radiograph(pixels if side is None else to_uint8(pixels), facts)


def _facts(height: int, width: int, bits: int, notes: tuple[str, ...] = ()) -> Facts:
    return Facts(height, width, photometric="MONOCHROME2", bits=bits, notes=notes)
