"""Check a radiograph's spacing against the width of a body, and its header for anything but a frontal chest radiograph.

A downsampled picture often keeps the detector's spacing, which makes every length and area too small; the body's width on the
picture reveals it. Where the header's field of view gives the original size, the spacing is corrected; elsewhere it is left out,
with a warning.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from imaging.decoding.radiograph import Facts, Pixels, Radiograph, to_uint8
from imaging.resize import resize_image

RADIOGRAPHS = {
    "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography
    "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray, for presentation
    "1.2.840.10008.5.1.4.1.1.1.1.1",  # the same, for processing
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture, as SIIM's
}
"""Classes of objects (PS3.4 B.5) whose pictures are projections."""
ADULT_MM, INFANT_MM, LARGEST_MM = 230.0, 60.0, 600.0
"""Narrowest body of an adult and of an infant, and the widest of any patient, as displayed on a frontal chest radiograph."""
CHILD_MM, YEAR_MM = 90.0, 10.0
"""Narrowest body of a child: CHILD_MM and YEAR_MM for each year of age."""
ISOTROPIC = 1.05
"""Largest ratio of two spacings that a field of view may imply; pixels of radiographs are square."""
SIDE = 256
BRIGHT = 0.12
"""Pixels above this share of the range from the 1st to the 99th percentile of grey are not air outside the body."""

IN_GENERAL = {
    "SPACING": "implausible pixel spacing, so no areas in mm²",
    "SPACING-CORRECTED": "implausible pixel spacing, replaced by that of the field of view",
    "VIEW": "not a frontal view according to the header",
    "BODY-PART": "not a chest according to the header",
    "CLASS": "the SOP class is not a radiograph's",
    "ORIENTATION": "not upright according to the header, and not turned",
    "ORIENTATION-CORRECTED": "turned upright according to the header",
}
"""Warnings without the values of one file, for counting."""

FRONTAL = ("PA", "AP")
CHEST = ("CHEST", "THORAX", "LUNG", "RIB", "CHESTABDOMEN", "PORTCHEST", "CHST")
CHILD_YEARS = 16


def checked(found: Radiograph) -> Radiograph:
    """A radiograph whose spacing is plausible, corrected or None; a warning in its facts says what was changed.

    Only projections are checked (`RADIOGRAPHS`): a slice has other sizes.
    """
    facts = found.facts
    if facts.spacing_mm is None or facts.sop_class not in RADIOGRAPHS:
        return found
    share = body_share(found.pixels)
    if _fits(facts, share, facts.spacing_mm):
        return found
    width = share * facts.width * facts.spacing_mm[1]
    reason = f"the pixel spacing makes the body {width:.0f} mm wide, {_expected(facts.age)}"
    better = field_of_view_spacing(facts)
    if better is not None and _fits(facts, share, better):
        warning = f"SPACING-CORRECTED: {reason}, so the spacing of the field of view is used"
    else:
        better, warning = None, f"SPACING: {reason}, so no areas in mm² are given"
    return replace(found, facts=replace(facts, spacing_mm=better, warnings=(*facts.warnings, warning)))


def is_plausible(facts: Facts, pixels: Pixels, spacing: tuple[float, float]) -> bool:
    """Whether a spacing (rows, columns) in mm of the original pixels gives a body width that a patient of this age can have.

    pixels (H, W): the picture, which may be reduced.
    """
    return _fits(facts, body_share(pixels), spacing)


def body_share(pixels: Pixels) -> float:
    """Width of the body as a share of the picture's, 0..1: median over the middle half of the rows of pixels (H, W).

    In each row the body reaches from the first to the last pixel that is not dark; dark pixels in between, the lungs, count.
    """
    small = resize_image(to_uint8(pixels), SIDE).astype(np.float32)
    dark, bright = np.percentile(small, (1, 99))
    inside = small[SIDE // 4 : -SIDE // 4] > dark + BRIGHT * (bright - dark)
    rows = inside[inside.any(axis=1)]
    if not len(rows):
        return 0.0
    span = SIDE - rows.argmax(axis=1) - rows[:, ::-1].argmax(axis=1)
    return float(np.median(span)) / SIDE


def narrowest_mm(age: int | None) -> float:
    """Smallest plausible width of a body at an age in years; None: an adult's."""
    if age is None:
        return ADULT_MM
    return min(ADULT_MM, CHILD_MM + YEAR_MM * age) if age else INFANT_MM


def field_of_view_spacing(facts: Facts) -> tuple[float, float] | None:
    """Spacing (rows, columns) that the field of view implies; None without one, or where its pixels would not be square.

    Writers disagree about the order of its two sides, so both are tried.
    """
    if facts.field_of_view_mm is None:
        return None
    for height, width in (facts.field_of_view_mm, facts.field_of_view_mm[::-1]):
        spacing = height / facts.height, width / facts.width
        if max(spacing) <= ISOTROPIC * min(spacing):
            return spacing
    return None


def header_warnings(facts: Facts, turned: bool = False) -> tuple[str, ...]:
    """What the header says against an upright frontal chest radiograph, each as `CODE: sentence`.

    turned: the networks see the picture turned upright as `quarter_turns` says.
    """
    found = []
    if facts.view and facts.view not in FRONTAL:
        found.append(f"VIEW: the view is {_word(facts.view)}, not PA or AP")
    if facts.body_part and not facts.body_part.startswith(CHEST):
        found.append(f"BODY-PART: the body part is {_word(facts.body_part)}, not the chest")
    if facts.sop_class and facts.sop_class not in RADIOGRAPHS:
        found.append("CLASS: the file's SOP class is not a radiograph's")
    if turned and (turns := quarter_turns(facts)):
        found.append(
            f"ORIENTATION-CORRECTED: the picture is turned by {90 * turns} degrees to stand upright, as PatientOrientation says"
        )
    elif facts.orientation and not is_upright(facts.orientation):
        found.append(
            "ORIENTATION: PatientOrientation is not L, F (rows to the left, columns to the feet), and the picture is not turned"
        )
    return tuple(found)


def is_upright(orientation: tuple[str, ...]) -> bool:
    """Whether PatientOrientation is that of a frontal view: rows end at the left, columns at the feet (PS3.3 C.7.6.1.1.1)."""
    return len(orientation) == 2 and orientation[0][:1] == "L" and orientation[1][:1] == "F"


def quarter_turns(facts: Facts) -> int:
    """Counter-clockwise quarter turns that set a frontal view upright by its PatientOrientation: 0 to 3.

    0 where it is upright, missing, oblique or mirrored: the chest may really be mirrored, or the header wrong.
    """
    if len(facts.orientation) != 2 or (facts.view and facts.view not in FRONTAL):
        return 0
    row, column = (direction[:1] for direction in facts.orientation)
    return {("H", "L"): 1, ("R", "H"): 2, ("F", "R"): 3}.get((row, column), 0)


def _fits(facts: Facts, share: float, spacing: tuple[float, float]) -> bool:
    return narrowest_mm(facts.age) <= share * facts.width * spacing[1] <= LARGEST_MM


def _expected(age: int | None) -> str:
    whose = "an adult (no age is given)" if age is None else f"a patient aged {age}"
    return f"but {narrowest_mm(age):.0f} to {LARGEST_MM:.0f} mm are plausible for {whose}"


def _word(text: str) -> str:
    """A header's word for a message: letters, digits and blanks, at most 16."""
    return "".join(c for c in text if c.isascii() and (c.isalnum() or c == " "))[:16] or "another"
