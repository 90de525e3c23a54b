"""Submission files of both forms against label files of both forms."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ensemble import score
from ensemble.metrics import kaggle_dice
from imaging import rle, runs

MASKS = arrays(bool, (6, 7), elements=st.booleans())


@given(MASKS, MASKS)
def test_runs_count_as_masks_do(a: np.ndarray, b: np.ndarray) -> None:
    one, two = (runs.parse(rle.encode(mask), a.size) for mask in (a, b))
    assert runs.area(one) == a.sum()
    assert runs.overlap(one, two) == (a & b).sum()
    assert np.array_equal(runs.union([one, two]), runs.parse(rle.encode(a | b), a.size))
    assert score._dice(one, two) == kaggle_dice(a, b)


def write(path: Path, rows: list[str], header: str = "ImageId,EncodedPixels") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_both_forms_and_several_rows(tmp_path: Path) -> None:
    truth = write(
        tmp_path / "t.csv", ["a, 0 4", "a, 2 4", "b, -1", "c,-1", "d,10 2"], "ImageId, EncodedPixels"
    )
    said = write(tmp_path / "s.csv", ["d,-1", "c,0 1", "b,-1", "a,0 3"])
    result = score.score(said, truth, (4, 4))
    # a: union is pixels 0 to 5; 2·3/(3+6). b: both empty. c: false alarm. d: missed
    assert result.score == pytest.approx((2 / 3 + 1 + 0 + 0) / 4)
    assert (result.tnr, result.dice_positive) == (0.5, pytest.approx(1 / 3))


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (["a,0 4"], "ImageId,EncodedPixels", "missing from the submission: b (1 in all)"),
        (["a,0 4", "b,-1", "x,-1"], "ImageId,EncodedPixels", "not in the label file: x (1 in all)"),
        (["a,0 4", "a,0 4", "b,-1"], "ImageId,EncodedPixels", "image a has the same row twice"),
        (["a,0 4", "a,-1", "b,-1"], "ImageId,EncodedPixels", "image a has -1 beside a mask"),
        (["a,0 17", "b,-1"], "ImageId,EncodedPixels", "image a: a run ends at pixel 17"),
        (["a,0 x", "b,-1"], "ImageId,EncodedPixels", "image a: 'x' at position 2"),
        (["a,", "b,-1"], "ImageId,EncodedPixels", "image a: the code is empty"),
        ([",-1", "b,-1"], "ImageId,EncodedPixels", "row 2 has no image id"),
        (
            ["a,-1,-1", "b,-1,-1"],
            "ImageId,EncodedPixels,EncodedPixels",
            "column EncodedPixels is there 2 times",
        ),
        (
            ["a,refused", "b,-1"],
            "ImageId,EncodedPixels",
            "image a is `refused`: ensemble.submit could not read",
        ),
        (
            ["a,0 -4", "b,-1"],
            "ImageId,EncodedPixels",
            "run 1 has a negative length, -4: a length must be positive",
        ),
        (
            ["a,0 99999999999999999999999", "b,-1"],
            "ImageId,EncodedPixels",
            "the number 99999999999999999999999 is",
        ),
        (["a,-1", "b,-1"], "ImageId,Mask", "column EncodedPixels is missing; found ImageId, Mask"),
    ],
)
def test_faults_are_named(tmp_path: Path, rows: list[str], header: str, message: str) -> None:
    truth = write(tmp_path / "t.csv", ["a,0 4", "b,-1"])
    said = write(tmp_path / "s.csv", rows, header)
    with pytest.raises(ValueError, match=r"s\.csv") as error:
        score.score(said, truth, (4, 4))
    assert message in str(error.value)


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = write(tmp_path / "t.csv", ["a,0 4", "b,-1"])
    score.main([str(truth), str(truth), "--shape", "4x4", "--json"])
    assert json.loads(capsys.readouterr().out) == {
        "kaggle_dice": 1.0, "prevalence": 0.5, "tnr": 1.0, "dice_positive": 1.0, "all_empty": 0.5, "images": 2, "positives": 1,
    }  # fmt: skip  # the names of metrics.json
    score.main([str(truth), str(truth), "--shape", "4x4"])
    text = capsys.readouterr().out
    assert "all empty   0.5" in text
    assert text.isascii()  # a cp1252 terminal has no D⁺
    with pytest.raises(ValueError, match=r"none\.csv: no such file"):
        score.main([str(tmp_path / "none.csv"), str(truth)])


@pytest.mark.skipif("SIIM_SAMPLE_DIR" not in os.environ, reason="SIIM_SAMPLE_DIR is not set")
def test_real_labels(tmp_path: Path) -> None:
    labels = Path(os.environ["SIIM_SAMPLE_DIR"]) / "labels" / "train-rle-full.csv"
    assert score.score(labels, labels).score == 1.0
    codes = pd.read_csv(labels, dtype=str, skipinitialspace=True).groupby("ImageId", sort=False)[
        "EncodedPixels"
    ]
    made = [_united([code.strip() for code in of]) for _, of in codes]
    ids = [name for name, _ in codes]
    pd.DataFrame({"ImageId": ids, "EncodedPixels": made}).to_csv(tmp_path / "masks.csv", index=False)
    assert score.score(tmp_path / "masks.csv", labels).score == 1.0
    pd.DataFrame({"ImageId": ids, "EncodedPixels": "-1"}).to_csv(tmp_path / "empty.csv", index=False)
    assert score.score(tmp_path / "empty.csv", labels).score == 9378 / 12047


def _united(codes: list[str]) -> str:
    """The code of all of an image's masks; several are drawn, united and coded again."""
    if len(codes) == 1:
        return codes[0]
    return rle.encode(np.any([rle.decode(code, (1024, 1024)) for code in codes], axis=0))


@pytest.mark.parametrize(
    "text",
    [
        "ImageId,EncodedPixels,\na,0 3,\nb,-1,\n",
        "ImageId,EncodedPixels\na,0 3,\nb,-1,,\n",
        "ImageId;EncodedPixels\r\na;0 3\r\nb;-1\r\n",
        "ImageId\tEncodedPixels\na\t0 3\nb\t-1\n",
        "\ufeffImageId , EncodedPixels\n\na , 0 3\nb, -1\n\n",
        'Id,ImageId,EncodedPixels\n1,"a","0 3"\n2,"b","-1"\n',
    ],
)
def test_tables_as_spreadsheets_save_them(tmp_path: Path, text: str) -> None:
    truth = write(tmp_path / "t.csv", ["a,0 4", "b,-1"])
    (tmp_path / "s.csv").write_bytes(text.encode())
    assert score.score(tmp_path / "s.csv", truth, (4, 4)).dice_positive == pytest.approx(6 / 7)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"ImageId,EncodedPixels\na,0 3,9 1\n", "line 2 has 3 columns, the header has 2"),
        ("ImageId,EncodedPixels\na,0 3\n".encode("utf-16"), "not UTF-8 text"),
        (b"ImageId,EncodedPixels\n\xe9,0 3\n", "not UTF-8 text"),
        (None, "cannot be read \\(Is a directory\\)"),
    ],
)
def test_files_that_are_no_tables_are_named(tmp_path: Path, data: bytes | None, message: str) -> None:
    path = tmp_path / "s.csv"
    path.mkdir() if data is None else path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"s\.csv: {message}"):
        score.read_codes(path)
