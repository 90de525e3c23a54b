"""A folder as archives are: every file in it is read or listed with a reason, and nothing else happens."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydicom import dcmread, uid

from imaging import prepare, rle
from tests.imaging import dicom_files

GOOD = ["1.2.1", "1.2.2", "name with blanks", "Zürich-肺"]
OVERLAPPING = rle.encode(np.eye(64, dtype=bool))


def spoil(folder: Path, good: Path) -> dict[str, str]:
    """Write what is refused beside the good files: id -> a word of its reason."""
    data = good.read_bytes()
    (folder / "empty.dcm").touch()
    (folder / "cut.dcm").write_bytes(data[: len(data) // 2])
    (folder / "text.dcm").write_text("see the other folder")
    (folder / "packed.dcm").write_bytes(gzip.compress(data))
    (folder / "loop.dcm").symlink_to(folder / "loop.dcm")
    (folder / "gone.dcm").symlink_to(folder / "nowhere")
    (folder / "folder.dcm").mkdir()
    os.mkfifo(folder / "pipe.dcm")
    pixels = np.zeros((64, 64), np.uint8)
    dicom_files.write(folder / "huge.dcm", pixels, Rows=65535, Columns=65535)
    dicom_files.write(folder / "frames.dcm", pixels, NumberOfFrames="12")
    dicom_files.write_frame(folder / "video.dcm", b"\0\0", uid.MPEG4HP41, pixels)
    blank = dcmread(good)
    del blank.PixelData
    blank.save_as(folder / "blank.dcm")
    return {
        "empty": "empty", "cut": "cut off", "text": "neither a DICOM", "packed": "neither a DICOM", "loop": "symbolic links",
        "gone": "a broken link", "folder": "there is no file", "pipe": "not a file", "huge": "65535 x 65535",
        "frames": "12 frames", "video": "MPEG-4", "blank": "pixel data is missing", "past": "does not fit", 
        "float": "not a whole number", "overlap": "",
    }  # fmt: skip


@pytest.fixture
def nasty(siim):
    for number, name in enumerate(GOOD):
        good = siim.add(f"1.3.{number}", code=None)  # a header's UID could not hold such names
        good = good.rename(good.with_name(f"{name}.dcm"))
        siim.rows.append((name, rle.EMPTY))
    siim.add("UPPER").rename(siim.path / "dicom-images-train/study/series/UPPER.DCM")
    siim.add("past", "4000 200")
    siim.add("float", "1.5 3")
    siim.add("overlap", [OVERLAPPING, OVERLAPPING, "0 64"])
    reasons = spoil(good.parent, good)
    siim.rows += [(name, rle.EMPTY) for name in reasons if name not in ("past", "float", "overlap")]
    siim.write_labels()
    return siim, {name: reason for name, reason in reasons.items() if reason}


def test_every_file_gets_a_verdict(nasty, tmp_path):
    siim, reasons = nasty
    prepare.run(siim.settings(refused_share=1.0), tmp_path / "out", tmp_path / "report")
    kept = set(pd.read_parquet(tmp_path / "out/index.parquet")["image_id"])
    assert kept == {*GOOD, "UPPER", "overlap"}
    rejected = pd.read_csv(tmp_path / "out/rejected.csv")
    told = {Path(row.input).stem: row.reason for row in rejected.itertuples()}
    assert set(told) == set(reasons)
    for name, word in reasons.items():
        assert word in told[name], (name, told[name])
    assert not [path for path in (tmp_path / "out").iterdir() if "part" in path.name]


def test_what_the_labels_alone_show_stops_before_anything_is_read(nasty, tmp_path):
    siim, _ = nasty
    with pytest.raises(ValueError, match=r"5 of .* training inputs refused"):
        prepare.run(siim.settings(), tmp_path / "out", tmp_path / "report")
    inputs = pd.read_csv(tmp_path / "out/rejected.csv")["input"]
    assert {Path(name).stem for name in inputs} == {"float", "folder", "loop", "gone", "pipe"}
    assert not (tmp_path / "out/index.parquet").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(siim, tmp_path):
    siim.add("1")
    siim.add("2").chmod(0)
    siim.write_labels()
    prepare.run(siim.settings(refused_share=1.0), tmp_path / "out", tmp_path / "report")
    assert "Permission denied" in pd.read_csv(tmp_path / "out/rejected.csv")["reason"][0]


def test_nothing_is_written_outside_the_output(nasty, tmp_path):
    """Ids from a CSV that would climb out as paths name no file, so they are listed and nothing else."""
    siim, _ = nasty
    siim.rows.append(("../../escape", rle.EMPTY))
    siim.rows.append(("/etc/escape", rle.EMPTY))
    siim.write_labels()
    before = {path for path in siim.path.parent.rglob("*") if "out" not in path.parts}
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    prepare.run(siim.settings(refused_share=1.0), tmp_path / "out", tmp_path / "report")
    after = {path for path in siim.path.parent.rglob("*") if not {"out", "report"} & set(path.parts)}
    assert after == before
    assert not Path("/etc/escape.dcm").exists()
    assert {"../../escape", "/etc/escape"} <= set(pd.read_csv(tmp_path / "out/rejected.csv")["input"])
