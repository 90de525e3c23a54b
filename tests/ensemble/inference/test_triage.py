"""The triage table: an order that does not depend on the reading, and blanks where nothing is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ensemble.decision.decision import Prediction
from ensemble.inference import triage
from ensemble.inference.predictor import Scored
from ensemble.predict import summary
from imaging.decoding.radiograph import Facts, RefusedFile


def scored(
    prob: float, pixels: int, spacing: tuple[float, float] | None = None, study: str | None = None
) -> Scored:
    mask = np.zeros((10, 10), bool)
    mask.ravel()[:pixels] = True
    answer = Prediction(mask, prob, prob, 128, False, "why")
    return Scored(Path("x"), Facts(10, 10, spacing, study_uid=study), answer)


def test_order_and_blanks(tmp_path: Path) -> None:
    rows = [
        triage.row("refused.txt", Scored(Path("r"), refusal=RefusedFile("FILE-FOREIGN", "no picture", "r"))),
        triage.row("b", scored(0.25, 0)),
        triage.row("c", scored(0.98765, 3, (0.5, 0.5)), "overlays/c.png", "none: no DICOM file"),
        triage.row("a", scored(0.25, 0)),
    ]
    triage.write(triage.table(rows), tmp_path / "triage.csv")
    assert (tmp_path / "triage.csv").read_text() == (
        "file,verdict,probability,decision,reason,warning,study_images,study_probability,area_px,area_mm2,side,overlay,dicom\n"
        "c,read,0.9876,mask,why,,,,3,0.8,right,overlays/c.png,none: no DICOM file\n"
        "a,read,0.25,no mask,why,,,,0,,,,\n"
        "b,read,0.25,no mask,why,,,,0,,,,\n"
        "refused.txt,refused,,,FILE-FOREIGN: no picture,,,,,,,,\n"
    )
    assert triage.table(rows[::-1]).equals(triage.table(rows))


def test_each_image_of_a_study_has_a_row_that_counts_the_others() -> None:
    """Two images of study 1.2 and one of 1.3; a refused file and a picture name no study."""
    rows = [
        triage.row("frontal", scored(0.7, 3, study="1.2")),
        triage.row("lateral", scored(0.2, 0, study="1.2")),
        triage.row("other", scored(0.4, 0, study="1.3")),
        triage.row("picture", scored(0.3, 0)),
        triage.row("refused", Scored(Path("r"), refusal=RefusedFile("FILE-FOREIGN", "no picture", "r"))),
    ]
    table = triage.table(rows).set_index("file")
    assert table.loc[["frontal", "lateral", "other"], "study_images"].tolist() == [2, 2, 1]
    assert table.loc[["picture", "refused"], ["study_images", "study_probability"]].isna().all(axis=None)
    assert table.loc[["frontal", "lateral", "other"], "study_probability"].tolist() == [0.7, 0.7, 0.4]
    assert not any("1.2" in str(row.values()) for row in rows)


def test_nothing_but_refusals_is_a_table_too() -> None:
    row = triage.row("a", Scored(Path("a"), refusal=RefusedFile("FILE-FOREIGN", "empty", "a")))
    table = triage.table([row])
    assert table["verdict"].tolist() == ["refused"]
    assert "0 read, 1 refused, 0 with a mask" in summary(table, Path("out"))


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=cmd|' /C calc'!A0.dcm", "'=cmd|' /C calc'!A0.dcm"),
        ("@SUM(A1).png", "'@SUM(A1).png"),
        ("+1.png", "'+1.png"),
        ("-1.png", "'-1.png"),
        ("'a.png", "''a.png"),
        ("a=1.png", "a=1.png"),
        ("", ""),
    ],
)
def test_a_spreadsheet_shows_names_and_runs_none(text: str, cell: str, tmp_path: Path) -> None:
    assert triage.for_spreadsheets(text) == cell
    assert triage.from_spreadsheets(cell) == text
    triage.write(triage.table([triage.row(text, scored(0.5, 0))]), tmp_path / "triage.csv")
    assert pd.read_csv(tmp_path / "triage.csv", keep_default_na=False)["file"].tolist() == [cell]


def test_our_own_table_is_recognised(tmp_path: Path) -> None:
    triage.write(triage.table([]), tmp_path / "triage.csv")
    (tmp_path / "other.csv").write_text("file,verdict\na,b\n")
    assert triage.is_ours(tmp_path / "triage.csv")
    assert not triage.is_ours(tmp_path / "other.csv")
    assert not triage.is_ours(tmp_path / "nowhere.csv")
