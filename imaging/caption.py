"""A line of text below a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

RESEARCH = "AI, research only, not for diagnosis"
"""In the caption of every picture and DICOM object that shows a prediction."""
PHANTOMS = "trained on generated phantoms only"
"""Added to the caption where the networks were trained on phantoms."""
BAR = 36
"""Height of the bar in pixels below a picture of up to 1,024 pixels; it grows in proportion for larger pictures."""
_LARGEST, _SMALLEST = 17.0, 6.0


def with_caption(picture: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """An RGB picture uint8 (h, w, 3) with a dark bar below it: uint8 (h + bar, w, 3), the pixels above unchanged."""
    return np.vstack([picture, _bar(text, picture.shape[1], max(1.0, max(picture.shape) / 1024))])


def _bar(text: str, width: int, scale: float) -> NDArray[np.uint8]:
    """The bar uint8 (round(BAR * scale), width, 3), its text as large as fits."""
    height = round(BAR * scale)
    bar = Image.new("RGB", (width, height), "#101418")
    size, margin = _LARGEST * scale, min(10 * scale, width / 20)
    while size > _SMALLEST and ImageFont.load_default(size).getlength(text) > width - 2 * margin:
        size -= 1
    pen = ImageDraw.Draw(bar)
    pen.text((margin, height / 2), text, fill="#e8e8e8", font=ImageFont.load_default(size), anchor="lm")
    return np.asarray(bar, np.uint8)
