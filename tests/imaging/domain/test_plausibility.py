"""Spacing that a body cannot have is corrected or left out; headers of other views and body parts give warnings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from imaging.decoding.radiograph import Facts
from imaging.domain.plausibility import (
    body_share,
    field_of_view_spacing,
    header_warnings,
    is_upright,
    narrowest_mm,
    quarter_turns,
)
from imaging.formats import reader
from tests.imaging import dicom_files


def body(share: float, side: int = 256) -> NDArray[np.uint8]:
    """A bright body with two dark lungs, `share` of the picture wide, on black."""
    made = np.zeros((side, side), np.uint8)
    half = round(share * side / 2)
    made[:, side // 2 - half : side // 2 + half] = 160
    made[side // 4 :, side // 2 - half // 2 : side // 2 - half // 8] = 10
    made[side // 4 :, side // 2 + half // 8 : side // 2 + half // 2] = 10
    return made


@pytest.mark.parametrize("share", [0.5, 0.75, 1.0])
def test_lungs_count_into_the_body_and_black_sides_do_not(share: float) -> None:
    assert body_share(body(share)) == pytest.approx(share, abs=0.01)
    assert body_share(body(share, 1000).astype(np.uint16) * 257) == pytest.approx(share, abs=0.01)


def test_a_black_picture_has_no_body() -> None:
    assert body_share(np.zeros((64, 64), np.uint8)) == 0


@pytest.mark.parametrize(
    ("age", "mm"), [(0, 60), (1, 100), (5, 140), (13, 220), (14, 230), (80, 230), (None, 230)]
)
def test_narrowest_body_by_age(age: int | None, mm: float) -> None:
    assert narrowest_mm(age) == mm


@pytest.mark.parametrize(
    ("spacing", "age", "view", "expected", "code"),
    [
        (1.2, "050Y", None, 1.2, None),  # 307 mm
        (0.6, "050Y", None, None, "SPACING"),  # 154 mm
        (0.6, "003Y", None, 0.6, None),
        (0.6, None, None, None, "SPACING"),  # without an age an adult is assumed
        (3.0, "050Y", None, None, "SPACING"),  # 768 mm
        (0.6, "050Y", [300, 300], 300 / 256, "SPACING-CORRECTED"),
        (0.6, "050Y", [150, 150], None, "SPACING"),  # no better
    ],
)
def test_spacing_is_kept_corrected_or_left_out(
    tmp_path: Path,
    spacing: float,
    age: str | None,
    view: list[float] | None,
    expected: float | None,
    code: str | None,
) -> None:
    about = {"PixelSpacing": [spacing, spacing]} | ({"PatientAge": age} if age else {})
    about |= {"FieldOfViewShape": "RECTANGLE", "FieldOfViewDimensions": view} if view else {}
    found = reader.read(dicom_files.write(tmp_path / "a.dcm", body(1.0), **about))
    assert found.spacing_mm == (None if expected is None else pytest.approx((expected, expected)))
    assert [warning.split(":")[0] for warning in found.facts.warnings] == [code] * bool(code)
    assert found.facts.warnings == reader.read(tmp_path / "a.dcm", 64).facts.warnings


def test_slices_are_not_checked(tmp_path: Path) -> None:
    path = dicom_files.write(
        tmp_path / "ct.dcm", body(1.0), PixelSpacing=[0.4, 0.4], SOPClassUID="1.2.840.10008.5.1.4.1.1.2"
    )
    assert reader.read(path).spacing_mm == (0.4, 0.4)


def test_a_field_of_view_whose_pixels_are_not_square_is_not_taken() -> None:
    assert field_of_view_spacing(Facts(1000, 1000, field_of_view_mm=(430.0, 350.0))) is None
    assert field_of_view_spacing(Facts(1000, 800, field_of_view_mm=(320.0, 400.0))) == (0.4, 0.4)
    assert field_of_view_spacing(Facts(10, 10)) is None


@pytest.mark.parametrize(
    ("facts", "codes"),
    [
        ({}, []),
        ({"view": "PA", "body_part": "CHEST", "orientation": ("L", "F")}, []),
        ({"view": "AP", "orientation": ("LH", "FL")}, []),
        ({"view": "LL"}, ["VIEW"]),
        ({"body_part": "HAND"}, ["BODY-PART"]),
        ({"orientation": ("P", "F")}, ["ORIENTATION"]),
        ({"orientation": ("F", "L")}, ["ORIENTATION"]),
        ({"orientation": ("R", "F")}, ["ORIENTATION"]),
        ({"sop_class": "1.2.840.10008.5.1.4.1.1.2"}, ["CLASS"]),
    ],
)  # fmt: skip
def test_headers_of_other_pictures(facts: dict[str, object], codes: list[str]) -> None:
    made = Facts(10, 10, **facts)  # type: ignore[arg-type]
    assert [warning.split(":")[0] for warning in header_warnings(made)] == codes


def test_a_header_is_quoted_in_letters_and_digits_alone() -> None:
    assert "NAME DOE" not in header_warnings(Facts(1, 1, body_part="\x1b[31m=1+1;HAND\n"))[0]
    assert "31m11HAND" in header_warnings(Facts(1, 1, body_part="\x1b[31m=1+1;HAND\n"))[0]


def test_upright() -> None:
    assert is_upright(("L", "F"))
    assert not is_upright(("L",))


@pytest.mark.parametrize(
    ("orientation", "view", "turns"),
    [
        (("L", "F"), "PA", 0), (("H", "L"), "PA", 1), (("R", "H"), "AP", 2), (("F", "R"), None, 3), (("HL", "LF"), None, 1),
        (("R", "F"), "PA", 0), (("F", "L"), "PA", 0), (("P", "F"), "LL", 0), (("H", "L"), "LL", 0), ((), "PA", 0),
    ],
)  # fmt: skip
def test_quarter_turns_are_those_of_the_header(orientation, view, turns) -> None:
    """A clockwise quarter turn moves the head end from the top to the right: rows end at H, columns at L."""
    facts = Facts(10, 10, orientation=orientation, view=view)
    assert quarter_turns(facts) == turns
    codes = [warning.split(":")[0] for warning in header_warnings(facts, turned=True)]
    assert ("ORIENTATION-CORRECTED" in codes) == bool(turns)
    assert ("ORIENTATION" in codes) == (not turns and orientation not in ((), ("L", "F")))
