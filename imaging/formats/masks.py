"""Read a mask from a picture file, as 0/1, 0/255, palette or JPEG, or refuse it with the values found.

Masks come in all of these forms, and a wrong guess is silent: mmsegmentation's own scripts lose 255 to its ignore index,
and keep only the pixels of a JPEG that are exactly 255. So an ambiguous form is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imaging.decoding.pillow import GREY_ENOUGH, grey, kind, open_page, unturned
from imaging.decoding.radiograph import Pixels, RefusedFile, load, naming
from imaging.formats import nifti

EDGE = 8
"""Pixels from an edge that JPEG's greys may reach: one block (ITU-T T.81 A.1)."""
FLAT = 8
"""Grey levels by which a flat area of 0 or 255 may be off in a JPEG: half of a coarse quantiser's step for the mean."""
DARK, BRIGHT = 63, 192
"""A blurred edge lies between pixels of at most DARK and of at least BRIGHT; its own pixels are split at 128."""
MOST_EDGE = 0.25
"""Share of a mask's pixels that may be between the two: more is a picture, not an edge."""
SHOWN = 8


def read(path: str | Path) -> NDArray[np.bool_]:
    """Read a mask file as bool (H, W), True inside; RefusedFile (a ValueError) names the file and what was found.

    Read: 1-bit; grey of 8 or 16 bits with the values 0 and 1, 0 and 255, or 0 and 65535; the same in RGB; palettes by
    their index, or by their colours where these are black and white; blurred edges between black and white, split at 128.
    For a slice of a volume: 0 and one other value. Refused: other values, colours, partial transparency.
    """
    if nifti.is_slice(path):
        return nifti.read_mask(path)
    with naming(path):
        return decode(load(path))


def decode(data: bytes) -> NDArray[np.bool_]:
    """As `read`, from a file's bytes."""
    picture, orientation = open_page(data)
    if picture.mode == "P":
        mask = _inside(_of_palette(picture), False)
    else:
        _check_transparency(picture)
        mask = _inside(_of_grey(picture), kind(data) == "JPEG")
    return unturned(mask.view(np.uint8), orientation).astype(np.bool_)


def _of_palette(picture: Image.Image) -> Pixels:
    """The indices; black and white instead where these are the only colours, since quantisers order palettes arbitrarily."""
    indices = np.asarray(picture)
    colours = np.asarray(picture.convert("RGB"))
    if np.isin(colours, (0, 255)).all() and (colours == colours[..., :1]).all():
        return colours[..., 0]
    return indices


def _of_grey(picture: Image.Image) -> Pixels:
    if picture.mode == "1":
        return np.asarray(picture).astype(np.uint8)
    if picture.mode in ("RGB", "RGBA"):
        colours = np.asarray(picture.convert("RGB"))
        spread = int((colours.max(axis=2) - colours.min(axis=2)).max())
        if spread > GREY_ENOUGH:
            found = {
                tuple(map(int, colour)) for colour in np.unique(colours.reshape(-1, 3), axis=0)[: SHOWN + 1]
            }
            raise RefusedFile(
                "MASK-COLOUR",
                f"a mask in colours, {_list(sorted(found))}, with no telling which is inside; save it as grey, 0 and 255",
            )
    return grey(picture)[0]


def _check_transparency(picture: Image.Image) -> None:
    if picture.mode not in ("RGBA", "LA", "La"):
        return
    low, high = picture.getchannel("A").getextrema()
    if low != high:
        raise RefusedFile(
            "MASK-ALPHA",
            f"a mask with alpha from {low} to {high}, with no telling whether the alpha or the grey is the mask;"
            " save it without transparency",
        )


def _inside(values: Pixels, lossy: bool) -> NDArray[np.bool_]:
    """True where a mask (H, W) of any of the accepted forms is inside; lossy: of a JPEG."""
    found = np.unique(values)
    forms = ({0, 255},) if lossy else ({0, 1}, {0, 255}, {0, 65535})  # 1 in a JPEG may as well be its noise
    if any(set(found.tolist()) <= form for form in forms):
        return values > 0
    if values.dtype == np.uint8 and _is_blurred(values, found, lossy):
        return values >= 128
    raise RefusedFile(
        "MASK-VALUES",
        f"a mask with the values {_list(found.tolist())}; save it with 0 and 1, 0 and 255, or black and white with blurred"
        " edges. If it has several classes, keep one, as 0 and 255",
    )


def _is_blurred(values: Pixels, found: Pixels, lossy: bool) -> bool:
    """Say whether all other greys lie at edges between black and white.

    Outside JPEG, at least four values with a light grey among them are required; otherwise 0, 1 and 255 would pass for such a
    mask, where 1 is the class and 255 the border to be ignored.
    """
    light = (found > DARK) & (found < 255)
    if not lossy and (len(found) < 4 or not light.any()):
        return False
    flat = FLAT if lossy else 0
    other = (values > flat) & (values < 255 - flat)
    near = np.ones((2 * EDGE + 1, 2 * EDGE + 1), np.uint8)
    to_dark = cv2.dilate((values <= DARK).view(np.uint8), near) > 0
    to_bright = cv2.dilate((values >= BRIGHT).view(np.uint8), near) > 0
    if np.mean((values > DARK) & (values < BRIGHT)) > MOST_EDGE:
        return False
    both_ends = bool(found[0] <= DARK or found[0] >= BRIGHT) and bool(found[-1] >= BRIGHT)
    return both_ends and not (other & ~(to_dark & to_bright)).any()


def _list(values: Sequence[object]) -> str:
    more = " …" if len(values) > SHOWN else ""
    return ", ".join(map(str, values[:SHOWN])) + more
