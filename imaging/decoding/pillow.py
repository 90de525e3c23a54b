"""Decode PNG, JPEG, TIFF and BMP to grey pixels with Pillow."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from io import BytesIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION, TiffImageFile

from imaging.decoding import jpeg
from imaging.decoding.radiograph import MAX_SIDE, Pixels, RefusedFile, check_size, full_range

FORMATS = {b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"II*\0": "TIFF", b"MM\0*": "TIFF", b"BM": "BMP"}
"""First bytes of a file and the name of its format."""
GREY_ENOUGH = 8
"""Grey levels by which the channels of a grey picture may differ: JPEG's chroma rounding stays below it."""
_UNTURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""What undoes each orientation: Pillow turns TIFFs, and no other format, while it loads them."""
_GREY16 = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_TO_RGB = ("RGB", "RGBA", "P", "PA", "RGBX")
_FULL = 65535
_ROWS = 256
# `check_size` is the limit: a refusal instead of a warning
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
_EXIF = 2**17
"""Bytes at the start of a JPEG among which EXIF data begins."""
_TO_GREY = ("1", "L", "LA", "La")


def kind(data: bytes) -> str | None:
    """Return the format's name by the file's first bytes, whatever its suffix; None for any other format."""
    return next((name for magic, name in FORMATS.items() if data.startswith(magic)), None)


def declared_pixels(data: bytes) -> int:
    """Return the pixels that a picture's header declares, without decoding it; 0 where the header cannot be read."""
    try:
        with Image.open(BytesIO(data), formats=[kind(data) or "PNG"]) as picture:
            return min(picture.width, MAX_SIDE) * min(picture.height, MAX_SIDE)
    except Exception:  # `page` gives the reason
        return 0


def page(data: bytes) -> tuple[Pixels, tuple[str, ...]]:
    """Grey pixels (H, W) of a picture's one page as stored in the file, with notes on what was lost.

    16-bit files that use fewer bits are stretched to the full range, see `fill_range`.
    """
    picture, orientation = open_page(data)
    pixels, notes = grey(picture)
    if pixels.dtype == np.uint16:
        pixels, notes = fill_range(pixels, _white_is_zero(picture), notes)
    return unturned(pixels, orientation), (*notes, *_orientation_notes(picture, orientation))


def fill_range(pixels: Pixels, inverted: bool, notes: tuple[str, ...]) -> tuple[Pixels, tuple[str, ...]]:
    """Stretch 16-bit pixels (H, W) that need fewer bits to the full range, in place, with a note.

    DICOM converters write 10 to 14 bits into 16, which would look nearly black. imaging.dicom.windowing has the same rule for
    more than 8 bits without a window. Pixels that need all 16 bits stay as they are. inverted: 0 was white in the file.
    """
    low, high = int(pixels.min()), int(pixels.max())
    bits = (_FULL - low if inverted else high).bit_length()
    if bits > 15:
        return pixels, notes
    greys = np.rint(full_range(np.arange(_FULL + 1, dtype=np.float64), low, high) * _FULL).astype(np.uint16)
    for rows in _pieces(len(pixels)):
        pixels[rows] = greys[pixels[rows]]
    return pixels, (*notes, f"a 16-bit file that uses {bits} bits: greys are stretched to the full range")


def orientation_note(data: bytes) -> tuple[str, ...]:
    """The note on a JPEG's EXIF orientation, from the file's bytes; none where it is upright."""
    if b"Exif\0\0" not in data[:_EXIF]:
        return ()
    try:
        with Image.open(BytesIO(data), formats=["JPEG"]) as picture:
            return _orientation_notes(picture, None)
    except Exception:  # damaged metadata does not matter to the pixels
        return ()


def _orientation_notes(picture: Image.Image, applied: int | None) -> tuple[str, ...]:
    try:
        orientation = applied or picture.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # as above
        return ()
    if orientation not in _UNTURN:
        return ()
    return (
        f"EXIF orientation {orientation} is ignored: other programs rotate or mirror this picture, so check left and right",
    )


def open_page(data: bytes) -> tuple[Image.Image, int | None]:
    """Open and decode the single page of a picture; return it with the orientation that Pillow has applied.

    Pillow checks the size before it allocates memory, and verifies checksums.
    """
    name = kind(data)
    if name is None:
        raise RefusedFile("FILE-FOREIGN", "neither DICOM nor a PNG, JPEG, TIFF or BMP picture")
    if name == "JPEG":
        header = jpeg.frame(data)
        jpeg.check_end(data, header.scan)
        jpeg.check_work(data, header)
    try:
        picture = Image.open(BytesIO(data), formats=[name])
        check_size(picture.height, picture.width)
        if getattr(picture, "n_frames", 1) > 1:
            raise RefusedFile("PICTURE-FRAMES", f"{picture.n_frames} pages or frames; a radiograph has one")  # type: ignore[attr-defined]
        orientation = picture.getexif().get(ExifTags.Base.Orientation) if name == "TIFF" else None
        picture.load()
    except RefusedFile:
        raise
    except Exception as error:  # Pillow's formats raise arbitrary errors on damaged data
        raise RefusedFile("PICTURE-DAMAGED", f"the {name} picture is damaged: {error}") from None
    return picture, orientation


def unturned(pixels: Pixels, orientation: int | None) -> Pixels:
    """Pixels (H, W) as stored in the file, from those that Pillow has turned by the orientation."""
    if orientation not in _UNTURN:
        return pixels
    return np.array(Image.fromarray(pixels).transpose(_UNTURN[orientation]))


def grey(picture: Image.Image) -> tuple[Pixels, tuple[str, ...]]:
    """Turn any picture we accept into grey pixels (H, W), with notes on what was lost."""
    notes: list[str] = []
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        notes.append("transparency is ignored")
    if picture.mode in _GREY16:
        wide = _sixteen_bits(picture)
        return (np.invert(wide, out=wide) if _white_is_zero(picture) else wide), tuple(notes)
    if picture.mode not in (*_TO_GREY, *_TO_RGB):
        raise RefusedFile(
            "PICTURE-KIND",
            f"pixels of mode {picture.mode}; only 8-bit grey or RGB and 16-bit grey are supported",
        )
    pixels, spread = _eight_bits(picture)
    if spread > GREY_ENOUGH:
        notes.append(f"colour (channels differ by up to {spread}) is converted to luma")
    return pixels, tuple(notes)


def _eight_bits(picture: Image.Image) -> tuple[NDArray[np.uint8], int]:
    """8-bit greys or the luma of colours, and the largest difference between the channels of a pixel."""
    greys, spread = np.empty((picture.height, picture.width), np.uint8), 0
    for rows in _pieces(picture.height):
        part = _crop(picture, rows)
        if picture.mode in _TO_GREY:
            greys[rows] = np.asarray(part.convert("L"))
        else:
            colours = np.asarray(part.convert("RGB"))
            red, green, blue = cv2.split(colours)
            most, least = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
            spread = max(spread, int((most - least).max()))
            cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY, dst=greys[rows])
    return greys, spread


def _pieces(height: int) -> Iterator[slice]:
    """Rows that are converted together, to avoid a wider copy of the whole picture."""
    return (slice(top, min(top + _ROWS, height)) for top in range(0, height, _ROWS))


def _crop(picture: Image.Image, rows: slice) -> Image.Image:
    return picture.crop((0, rows.start, picture.width, rows.stop))


def _white_is_zero(picture: Image.Image) -> bool:
    """Whether 0 is white in a TIFF; Pillow inverts such files itself for 8 bits, but not for 16."""
    return isinstance(picture, TiffImageFile) and picture.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0


def _sixteen_bits(picture: Image.Image) -> NDArray[np.uint16]:
    """Narrow Pillow's integers to uint16; 32-bit TIFF opens the same way and may not fit.

    In pieces: Pillow copies what it hands over twice, and 32 bits are not widened to 64.
    """
    narrow = np.empty((picture.height, picture.width), np.uint16)
    for rows in _pieces(picture.height):
        values = np.asarray(_crop(picture, rows))
        if values.dtype.itemsize > 2 and (values.min() < 0 or values.max() > np.iinfo(np.uint16).max):
            raise RefusedFile(
                "PICTURE-RANGE",
                f"values from {values.min()} to {values.max()}; only 0 to 65535 are supported",
            )
        narrow[rows] = values
    return narrow
