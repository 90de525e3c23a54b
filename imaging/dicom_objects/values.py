"""Correct or drop header values whose form breaks their value representation (PS3.5 6.2), before they go into an object."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import datetime

from pydicom import config
from pydicom.valuerep import TM, DSfloat, format_number_as_ds, validate_value

DS_LONGEST = 16
"""Characters of a decimal string (PS3.5 6.2)."""
_REPERTOIRES = ("13", "100", "101", "109", "110", "126", "127", "138", "144", "148", "166", "203")
"""Single-byte character sets by ISO registration number (PS3.3 C.12.1.1.2)."""
_MULTI_BYTE = ("58", "87", "149", "159")
_ALONE = ("ISO_IR 192", "GB18030", "GBK")


def corrected(representation: str, values: list[str]) -> list[str] | None:
    """The values of an element in valid form; None when they cannot be corrected without guessing.

    Only representations with a strict form are touched; names, ids and descriptions stay as they are.
    """
    if representation == "PN":
        return values[:1]  # one person; highdicom refuses a list of names
    correct = _CORRECTIONS.get(representation)
    if correct is None:
        return values
    found = [correct(value) for value in values]
    return [value for value in found if value is not None] if None not in found else None


def character_set(values: list[str]) -> list[str]:
    """Valid defined terms for SpecificCharacterSet (0008,0005); empty for the default repertoire and for unknown terms.

    `ISO_IR 6` and an empty value are the default repertoire. A single term with code extensions loses them, and a multi-byte
    set gets an empty first value, which stands for ISO 2022 IR 6.
    """
    terms = [_term(value) for value in values]
    if not terms or None in terms:
        return []
    if len(terms) == 1:
        kind, number = terms[0] or ("", "")
        if kind == "alone":
            return [number]
        if number in _MULTI_BYTE:
            return ["", f"ISO 2022 IR {number}"]
        return [f"ISO_IR {number}"] if number in _REPERTOIRES else []
    numbers = [term[1] for term in terms if term is not None and term[0] == "extension"]
    if len(numbers) != len(terms) or not set(numbers) <= {"", "6", *_REPERTOIRES, *_MULTI_BYTE}:
        return []
    return [f"ISO 2022 IR {number}" if number else "" for number in numbers]


def _term(value: str) -> tuple[str, str] | None:
    """A term, however it is spelt, as (`alone`, name) or (`extension`, registration number); None if unknown."""
    if not value:
        return "extension", ""
    if value.upper().replace("-", "_") in _ALONE:
        return "alone", value.upper().replace("-", "_")
    match = re.fullmatch(r"ISO[ _-]?(?:2022[ _-]?)?IR[ _-]?(\d+)", value.upper())
    if match is None:
        return None
    return ("alone", "ISO_IR 192") if match[1] == "192" else ("extension", match[1])


def _date(value: str) -> str | None:
    """YYYYMMDD, also from ACR-NEMA's YYYY.MM.DD; ranges, which are for queries, and impossible days are dropped."""
    for form in ("%Y%m%d", "%Y.%m.%d"):
        try:
            found = datetime.strptime(value, form)
        except ValueError:
            continue
        if len(value) == len("YYYYMMDD") + form.count(".") and found.year >= 1000:
            return found.strftime("%Y%m%d")
    return "" if not value else None


def _time(value: str) -> str | None:
    try:
        TM(value)
    except ValueError:
        return None
    return _of_form("TM")(value)


def _decimal(value: str) -> str | None:
    """At most 16 characters: longer numbers are rounded."""
    try:
        number = float(value) if value else math.nan
    except ValueError:
        return None
    if not value:
        return ""
    if not math.isfinite(number) or not re.fullmatch(r"[+-]?[\d.eE+-]+", value):
        return None
    return value if len(value) <= DS_LONGEST else format_number_as_ds(number)


def _of_form(representation: str) -> Callable[[str], str | None]:
    def check(value: str) -> str | None:
        try:
            validate_value(representation, value, config.RAISE)
        except ValueError:
            return None
        return value

    return check


_CORRECTIONS: dict[str, Callable[[str], str | None]] = {
    "DA": _date,
    "TM": _time,
    "DS": _decimal,
    **{name: _of_form(name) for name in ("AS", "CS", "DT", "IS")},
}


def spacing(values: list[str]) -> list[str] | None:
    """Two positive decimal strings, or None."""
    found = corrected("DS", values)
    if found is None or len(found) != 2 or "" in found:
        return None
    return found if min(DSfloat(value) for value in found) > 0 else None
