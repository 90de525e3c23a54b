"""Area and side of a finding, for every way in which a study may lie."""

from __future__ import annotations

import numpy as np
import pytest

from ensemble.inference.findings import measure
from imaging.decoding.radiograph import Facts


def mask(part: str, shape: tuple[int, int] = (8, 10)) -> np.ndarray:
    """A mask in one part of the picture as it is looked at."""
    made = np.zeros(shape, bool)
    rows, columns = shape
    made |= {
        "left": np.arange(columns)[None] < columns // 2 - 1,
        "right": np.arange(columns)[None] > columns // 2,
        "top": np.arange(rows)[:, None] < rows // 2 - 1,
        "all": True,
        "none": False,
    }[part]
    return made


@pytest.mark.parametrize(
    ("part", "orientation", "view", "side"),
    [
        ("left", (), "PA", "right"),  # the standard view: the patient faces the reader
        ("right", (), None, "left"),
        ("left", ("L", "F"), "AP", "right"),
        ("left", ("R", "F"), "PA", "left"),  # seen from behind
        ("top", ("F", "L"), "PA", "right"),  # turned by 90 degrees: rows run to the feet, columns to the left
        ("top", ("H", "R"), "PA", "left"),
        ("left", ("LF", "FR"), "PA", "right"),  # oblique: the first letter is the main direction
        ("all", (), "PA", "both"),
        ("none", (), "PA", None),
        ("left", ("A", "F"), None, None),  # a lateral view has no sides
        ("left", (), "LL", None),
    ],
)
def test_side(part: str, orientation: tuple[str, ...], view: str | None, side: str | None) -> None:
    facts = Facts(8, 10, orientation=orientation, view=view)
    assert measure(mask(part), facts).side == side


@pytest.mark.parametrize(("beyond", "side"), [(19, "right"), (20, "both")])
def test_a_fifth_beyond_the_midline_is_both(beyond: int, side: str) -> None:
    made = np.zeros((1, 200), bool)
    made[0, 100 - (100 - beyond) : 100 + beyond] = True
    assert measure(made, Facts(1, 200)).side == side


def test_the_middle_column_is_on_no_side() -> None:
    made = np.zeros((4, 5), bool)
    made[:, 2] = True
    made[0, 0] = True
    assert measure(made, Facts(4, 5)).side == "right"


@pytest.mark.parametrize(("spacing", "square"), [((0.5, 0.2), 8.0), (None, None)])
def test_area(spacing: tuple[float, float] | None, square: float | None) -> None:
    found = measure(mask("all"), Facts(8, 10, spacing_mm=spacing))
    assert found.area_px == 80
    assert found.area_mm2 == (None if square is None else pytest.approx(square))
