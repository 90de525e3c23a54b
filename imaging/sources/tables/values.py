"""What the cells of a table mean: labels, masks, boxes, splits, ages. A cell that cannot be interpreted is a `CellError`."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass

from imaging import rle

SPLITS = {
    "": "train", "train": "train", "training": "train", "val": "val", "valid": "val", "validate": "val", "validation": "val",
    "holdout": "val", "hold-out": "val", "test": "test",
}  # fmt: skip
"""Spellings of a split; `val` becomes the hold-out."""
_YES = {"true", "yes", "y", "positive", "pos"}
_NO = {"false", "no", "n", "negative", "neg"}
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?(e[+-]?\d+)?", re.IGNORECASE)
_CODE = re.compile(r"-1|\d+( +\d+)+")
_AGE = re.compile(r"(\d{1,3})(?:\.\d*)?\s*([YMWD]?)", re.IGNORECASE)

Box = tuple[float, float, float, float]
"""Left, top, width, height in pixels."""


class CellError(ValueError):
    """A cell that cannot be interpreted. code: a short stable word for it; the message holds value and fix."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code


@dataclass(frozen=True)
class Labels:
    """How a label cell is read. word: the finding's name in a list of names; uncertain: for -1; blank: for an empty cell;
    unknown: names in a list that make the cell unlabelled.
    """

    word: str | None = None
    uncertain: int | None = None
    blank: int | None = None
    unknown: frozenset[str] = frozenset()

    def __call__(self, text: str) -> int | None:
        """1, 0, or None for unlabelled."""
        if not text or text.lower() in ("nan", "na", "none", "null"):
            return self.blank
        if _NUMBER.fullmatch(text):
            value = float(text)
            if value not in (0, 1, -1):
                raise CellError(
                    "TABLE-LABEL", f"label is {text!r}; write 0, 1, -1 (uncertain) or leave it empty"
                )
            return self.uncertain if value == -1 else int(value)
        if text.lower() in _YES | _NO:
            return int(text.lower() in _YES)
        if self.word is None:
            raise CellError(
                "TABLE-LABEL",
                f"label is {text!r}; write 0 or 1, or name the finding in data.word, such as Pneumothorax",
            )
        names = {name.strip(" '\"").lower() for name in re.split(r"[|;,\[\]]", text)} - {""}
        if self.word.lower() in names:
            return 1
        return None if names & self.unknown else 0


def mask(text: str) -> tuple[str, str]:
    """(path, '') of a mask file, ('', code) of a run-length code, ('', '') for none."""
    if not text:
        return "", ""
    if not _CODE.fullmatch(text):
        return text, ""
    if text != rle.EMPTY:
        try:
            rle.area(text)
        except rle.RleError as error:
            raise CellError("TABLE-MASK", f"mask is not a run-length code: {error}") from None
    return "", text


def boxes(text: str, form: str) -> list[Box]:
    """Boxes of a cell: `x y w h; x y w h`, or JSON `[[x, y, w, h], …]`. form: 'xywh' or 'xyxy'."""
    if not text or text == "[]":
        return []
    try:
        if text.startswith("["):
            found = json.loads(text)
            groups = found if isinstance(found[0], list) else [found]
        else:
            groups = [re.split(r"[\s,]+", part.strip()) for part in text.split(";") if part.strip()]
        return [box([float(number) for number in group], form) for group in groups]
    except CellError:
        raise
    except (ValueError, TypeError, KeyError, IndexError):
        raise _no_box(text) from None


def box(numbers: list[float], form: str) -> Box:
    """One box of four numbers."""
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        raise _no_box(" ".join(map(str, numbers)))
    x, y, width, height = numbers
    if form == "xyxy":
        width, height = width - x, height - y
    if width <= 0 or height <= 0:
        raise CellError(
            "TABLE-BOX",
            f"box {' '.join(f'{n:g}' for n in numbers)} has no area as {form}; correct it, or set data.box_form",
        )
    return x, y, width, height


def written(found: list[Box]) -> str | None:
    """Boxes as `Listing.records` holds them; None for none."""
    return ";".join(" ".join(f"{number:.10g}" for number in one) for one in found) or None


def split(text: str) -> str:
    """'train', 'val' (the hold-out) or 'test'."""
    found = SPLITS.get(text.lower())
    if found is None:
        raise CellError("TABLE-SPLIT", f"split is {text!r}; write train, val (the hold-out) or test")
    return found


def age(text: str) -> int | None:
    """Whole years of `45`, `45.0`, `045Y` or `018M`; None of any other text."""
    found = _AGE.fullmatch(text)
    if found is None:
        return None
    years = int(found[1]) // {"": 1, "Y": 1, "M": 12, "W": 52, "D": 365}[found[2].upper()]
    return years if years <= 130 else None


def drain(text: str) -> int | None:
    """Whether a chest tube is visible: 1, 0, or None for an empty cell."""
    if not text:
        return None
    if text.lower() in _YES | _NO | {"0", "1", "0.0", "1.0"}:
        return int(text.lower() in _YES | {"1", "1.0"})
    raise CellError("TABLE-DRAIN", f"drain is {text!r}; write 1, 0 or leave it empty")


def positive(text: str, name: str) -> float | None:
    """A positive number of millimetres or pixels; None for an empty cell."""
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise CellError("TABLE-SPACING", f"{name} is {text!r}; write a positive number or leave it empty")
    return number


def sex(text: str) -> str | None:
    """'F', 'M' or 'O' of a word that begins with it; None of any other."""
    return text[:1].upper() if text[:1].upper() in ("F", "M", "O") and text else None


def _no_box(text: str) -> CellError:
    return CellError(
        "TABLE-BOX", f"box {text!r} is not four numbers; write `x y width height`, several separated by `;`"
    )
