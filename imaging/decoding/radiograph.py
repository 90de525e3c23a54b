"""Result of reading a file of any format: pixels and facts, or a refusal with its reason."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_SIDE = 12_000
"""Pixels a side: 43 cm, the largest flat detector, at the 0.05 mm of mammography has 8,600."""
MAX_BYTES = 2**30
"""File size: a picture of MAX_SIDE squared with 16 bits per pixel has 0.27 of this."""

Pixels = NDArray[np.unsignedinteger[Any]]
"""uint8 or uint16."""


class RefusedFile(ValueError):
    """A file that cannot be read as a radiograph; `str()` is `PATH: CODE: reason`, without `PATH: ` where none is given.

    `code` is short and stable, for tests, filters and docs/refusals.md. `reason` is a sentence for people. Neither holds the
    path or anything about the patient.
    """

    def __init__(self, code: str, reason: str, path: str | Path | None = None) -> None:
        super().__init__(code, reason, path)  # as given, so that it survives pickling
        self.code, self.reason, self.path = code, reason, path

    def __str__(self) -> str:
        return self.message if self.path is None else f"{self.path}: {self.message}"

    @property
    def message(self) -> str:
        """`CODE: reason`, as in tables that name the file in another column."""
        return f"{self.code}: {self.reason}"


@dataclass(frozen=True)
class Facts:
    """Facts from the file about the picture; None where missing or useless."""

    height: int
    """Rows of the original picture."""
    width: int
    """Columns of the original picture."""
    spacing_mm: tuple[float, float] | None = None
    """Distance of the rows' and of the columns' centres in millimetres; None also where it is not plausible."""
    field_of_view_mm: tuple[float, float] | None = None
    """Sides of the detector's field of view, in the order of the file."""
    patient_id: str | None = field(default=None, repr=False)
    """For grouping only: never in a message, a log or a table that is shown."""
    sex: str | None = None
    """`M`, `F` or `O`."""
    age: int | None = None
    """Whole years."""
    view: str | None = None
    """`PA`, `AP`, `LL` …"""
    body_part: str | None = None
    """`CHEST` …, in capitals."""
    orientation: tuple[str, ...] = ()
    """Patient direction of rows and columns, such as (`L`, `F`): towards the left and towards the feet."""
    study_uid: str | None = None
    series_uid: str | None = None
    sop_uid: str | None = None
    sop_class: str | None = None
    transfer_syntax: str | None = None
    photometric: str | None = None
    bits: int | None = None
    """Bits of a stored pixel that carry grey."""
    notes: tuple[str, ...] = ()
    """What was odd and how it was read, for the dataset card."""
    warnings: tuple[str, ...] = ()
    """What makes a prediction or a measurement on this picture doubtful, each as `CODE: sentence` (imaging.domain)."""

    @property
    def warning_codes(self) -> list[str]:
        """The codes of the warnings, in order."""
        return [warning.partition(":")[0] for warning in self.warnings]

    @property
    def spacing_changed(self) -> bool:
        """Whether `spacing_mm` differs from the file's because the file's is implausible."""
        return any(code.startswith("SPACING") for code in self.warning_codes)


@dataclass(frozen=True)
class Radiograph:
    """One picture, as a viewer would first show it, brighter = denser."""

    pixels: Pixels
    """(H, W), uint8 0..255 or uint16 0..65535."""
    facts: Facts

    @property
    def spacing_mm(self) -> tuple[float, float] | None:
        """Distance of the rows' and of the columns' centres in millimetres; None if the file gives none."""
        return self.facts.spacing_mm


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Add the path to a refusal raised inside."""
    try:
        yield
    except RefusedFile as refusal:
        raise RefusedFile(refusal.code, refusal.reason, path) from None


def load(path: str | Path) -> bytes:
    """Read a regular file; RefusedFile gives the reason."""
    try:
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):
            raise RefusedFile(
                "FILE-KIND", "a folder, not a file" if stat.S_ISDIR(about.st_mode) else "not a file"
            )
        if about.st_size == 0:
            raise RefusedFile("FILE-EMPTY", "the file is empty")
        if about.st_size > MAX_BYTES:
            raise RefusedFile(
                "FILE-SIZE",
                f"{about.st_size:,} bytes are too many for a radiograph; at most {MAX_BYTES:,} are supported",
            )
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except RefusedFile:
        raise
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last: a name with a zero byte
        raise RefusedFile("FILE-MISSING", "no such file") from None
    except OSError as error:
        raise RefusedFile("FILE-UNREADABLE", f"cannot be opened: {error.strerror}") from None


def check_size(height: int, width: int) -> None:
    """Refuse a declared size before anything of that size is allocated."""
    if height < 1 or width < 1:
        raise RefusedFile("PICTURE-SIZE", f"the picture is {width} pixels wide and {height} high")
    if max(height, width) > MAX_SIDE:
        raise RefusedFile(
            "PICTURE-SIZE",
            f"declares {width} x {height} pixels; at most {MAX_SIDE} per side are supported",
        )


def full_range(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Stretch values between the darkest and the brightest that occur to 0..1; where these are equal, all is black.

    The rule for greys of more than 8 bits without a window, in DICOM and in pictures: 12 or 16 bits are seldom filled.
    """
    return np.clip((values - low) / ((high - low) or 1), 0, 1)


def to_uint8(pixels: Pixels) -> NDArray[np.uint8]:
    """Map pixels (H, W) to 0..255: uint8 as it is, uint16 by rounding p / 257 (65535 = 255 * 257)."""
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    if pixels.dtype != np.uint16:
        raise ValueError(f"expected uint8 or uint16 pixels, found {pixels.dtype}")
    return cv2.convertScaleAbs(pixels, alpha=1 / 257)  # type: ignore[return-value]
