"""Pictures like the training data get no warning, others do; the record survives its file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from imaging.decoding.radiograph import Facts
from imaging.domain.limits import Counts, Domain, InputLimits, counts, make
from imaging.domain.statistics import FAMILIES, describe

Squares = NDArray[np.uint8]


def chests(count: int, seed: int, side: int = 96) -> Squares:
    """Two dark ellipses that vary in place, size and grey on a body with a fine grain: uint8 (count, side, side)."""
    random, made = np.random.Generator(np.random.PCG64(seed)), []
    for _ in range(count):
        grey = np.full((side, side), 150 + 10 * random.normal(), np.float32)
        for x in (0.3, 0.7):
            centre = (
                round(side * (x + 0.02 * random.normal())),
                round(side * (0.5 + 0.03 * random.normal())),
            )
            axes = (
                round(side * (0.15 + 0.01 * random.normal())),
                round(side * (0.3 + 0.02 * random.normal())),
            )
            cv2.ellipse(grey, centre, axes, 0, 0, 360, 50 + 8 * random.normal(), -1)
        cv2.rectangle(grey, (0, 0), (side, side // 10), 20, -1)
        made.append(np.clip(cv2.GaussianBlur(grey, (0, 0), 1.5) + random.normal(0, 3, grey.shape), 0, 255))
    return np.array(made, np.uint8)


def index(count: int, ages: list[int] | None = None) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "view": ["PA"] * count,
            "sex": ["F", "M"] * (count // 2),
            "age": pd.array(ages or [50] * count, "Int16"),
        }
    )


@pytest.fixture(scope="module")
def record() -> InputLimits:
    return make(index(300), chests(300, 0), range(200), range(200, 300))


def warned(record: InputLimits, squares: Squares) -> float:
    return float(np.mean([bool(record.unlike(square)) for square in squares]))


def test_few_false_alarms(record: InputLimits) -> None:
    assert record.like_holdout["images"] == 100
    assert record.like_holdout["warned"] <= 10
    assert (
        warned(record, chests(200, 1)) <= 0.08
    )  # 3 % by design; 200 training images put the limits no better


@pytest.mark.parametrize("change", ["turned", "upside down", "inverted", "noise", "empty", "blurred", "half"])
def test_pictures_of_another_kind_are_found(record: InputLimits, change: str) -> None:
    normal = chests(20, 2)
    noise = np.random.Generator(np.random.PCG64(0)).integers(0, 256, normal.shape).astype(np.uint8)
    changed = {
        "turned": np.rot90(normal, axes=(1, 2)),
        "upside down": normal[:, ::-1],
        "inverted": 255 - normal,
        "noise": noise,
        "empty": np.zeros_like(normal),
        "blurred": np.stack([cv2.GaussianBlur(square, (0, 0), 4) for square in normal]),
        "half": np.stack([cv2.resize(square[:, :48], (96, 96)) for square in normal]),
    }
    assert warned(record, np.ascontiguousarray(changed[change])) == 1


def test_warnings_name_the_family(record: InputLimits) -> None:
    square = 255 - chests(1, 3)[0]
    found = record.warnings(square, Facts(96, 96))
    assert {text.split(":")[0] for text in found} >= {"UNLIKE-GREY", "UNLIKE-LAYOUT"}
    assert all("times the limit" in text for text in found)


def test_numbers_do_not_depend_on_the_prepared_size() -> None:
    large = cv2.resize(chests(1, 4)[0], (768, 768), interpolation=cv2.INTER_LINEAR)
    small = cv2.resize(large, (384, 384), interpolation=cv2.INTER_AREA)
    for name in ("grey", "layout"):
        np.testing.assert_allclose(describe(large)[name], describe(small)[name], atol=0.03)
    assert list(describe(large)) == list(FAMILIES)


def test_the_file_gives_the_same_record(record: InputLimits, tmp_path: Path) -> None:
    record.save(tmp_path / "input_limits.json")
    assert InputLimits.load(tmp_path / "input_limits.json") == record
    assert (tmp_path / "input_limits.json").stat().st_size < 400_000
    (tmp_path / "input_limits.json").write_text('{"version": 1, "images": 3}')
    with pytest.raises(ValueError, match="images"):
        InputLimits.load(tmp_path / "input_limits.json")


def test_too_few_images_make_no_models() -> None:
    record = make(index(10), chests(10, 0), range(10), [])
    assert record.families == {}
    assert record.warnings(np.zeros((96, 96), np.uint8), Facts(96, 96)) == ()


def test_counts() -> None:
    frame = index(4, [5, 15, 16, 71])
    frame.loc[3, ["view", "age"]] = None
    assert counts(frame) == Counts(
        images=4, views={"PA": 3}, sexes={"F": 2, "M": 2}, ages={"0": 1, "10": 2}, children=2
    )


def only(ages: dict[str, int], children: int, views: dict[str, int]) -> Domain:
    about = Counts(images=100, views=views, sexes={}, ages=ages, children=children)
    record = InputLimits(counts=about, families={}, like_holdout={"images": 0, "warned": 0})
    return Domain(True, record)


@pytest.mark.parametrize(
    ("domain", "facts", "codes"),
    [
        (only({"50": 100}, 0, {"PA": 100}), {"age": 5}, ["AGE"]),
        (only({"50": 100}, 0, {"PA": 100}), {"age": 16}, []),
        (only({"0": 1, "50": 99}, 1, {"PA": 100}), {"age": 5}, []),  # 1 %
        (only({}, 0, {}), {"age": 5}, ["AGE"]),
        (only({"50": 100}, 0, {"PA": 100}), {"view": "AP"}, ["VIEW"]),
        (only({"50": 100}, 0, {"PA": 99, "AP": 1}), {"view": "AP"}, []),
        (only({"50": 100}, 0, {}), {"view": "AP"}, []),
        (only({"50": 100}, 0, {"PA": 100}), {"view": "LL"}, ["VIEW"]),
        (Domain(chest=True), {"age": 5, "view": "LL"}, ["VIEW", "AGE"]),
        (Domain(), {"age": 5, "view": "LL"}, []),
    ],
)
def test_age_and_view(domain: Domain, facts: dict[str, object], codes: list[str]) -> None:
    found = domain.warned(np.zeros((8, 8), np.uint8), Facts(8, 8, **facts))  # type: ignore[arg-type]
    assert found.warning_codes == codes


def test_warnings_of_the_reader_stay(record: InputLimits) -> None:
    facts = Facts(96, 96, warnings=("SPACING: x",))
    assert Domain(True, record).warned(chests(1, 9)[0], facts).warnings[0] == "SPACING: x"
