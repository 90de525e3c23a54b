"""The triage table: an order that does not depend on the reading, and blanks where nothing is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ensemble.decision.decision import Prediction
from ensemble.inference import triage
from ensemble.inference.predictor import Scored
from ensemble.predict import summary
from imaging.decoding.radiograph import Facts, RefusedFile


def scored(prob: float, pixels: int, spacing: tuple[float, float] | None = None) -> Scored:
    mask = np.zeros((10, 10), bool)
    mask.ravel()[:pixels] = True
    answer = Prediction(mask, prob, prob, 128, False, "why")
    return Scored(Path("x"), Facts(10, 10, spacing), answer)


def test_order_and_blanks(tmp_path: Path) -> None:
    rows = [
        triage.row("refused.txt", Scored(Path("r"), refusal=RefusedFile("FILE-FOREIGN", "no picture", "r"))),
        triage.row("b", scored(0.25, 0)),
        triage.row("c", scored(0.98765, 3, (0.5, 0.5)), "overlays/c.png", "none: no DICOM file"),
        triage.row("a", scored(0.25, 0)),
    ]
    triage.write(triage.table(rows), tmp_path / "triage.csv")
    assert (tmp_path / "triage.csv").read_text() == (
        "file,verdict,probability,decision,reason,area_px,area_mm2,side,overlay,dicom\n"
        "c,read,0.9876,mask,why,3,0.8,right,overlays/c.png,none: no DICOM file\n"
        "a,read,0.25,no mask,why,0,,,,\n"
        "b,read,0.25,no mask,why,0,,,,\n"
        "refused.txt,refused,,,no picture,,,,,\n"
    )
    assert triage.table(rows[::-1]).equals(triage.table(rows))


def test_nothing_but_refusals_is_a_table_too() -> None:
    row = triage.row("a", Scored(Path("a"), refusal=RefusedFile("FILE-FOREIGN", "empty", "a")))
    table = triage.table([row])
    assert table["verdict"].tolist() == ["refused"]
    assert "0 read, 1 refused, 0 with a mask" in summary(table, Path("out"))
