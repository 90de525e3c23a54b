"""triage.csv: one row per file, the most probable first, refused files last and never as negative.

A study may have several images (frontal and lateral, repeated exposures). Each has a row of its own, which says how many images
of its study were read and the highest probability among them.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import pandas as pd

from ensemble.inference.findings import measure
from ensemble.inference.predictor import Scored
from imaging.io.files import write_text

FILE = "triage.csv"
COLUMNS = {
    "file": "path inside the folder that was read",
    "verdict": "`read` or `refused`",
    "probability": "calibrated probability of a pneumothorax",
    "decision": "`mask` or `no mask`",
    "reason": "why, in words; for a refused file its code and why it could not be read",
    "warning": "why this prediction may not hold: training on phantoms, and `CODE: sentence` of the study (docs/warnings.md)",
    "study_images": "images with this StudyInstanceUID that were read; empty where the file names no study",
    "study_probability": "the highest probability among them",
    "area_px": "pixels of the mask, at the file's own resolution",
    "area_mm2": "the same in square millimetres, where the file gives its spacing",
    "side": "the patient's: `left`, `right`, `both`",
    "overlay": "the picture, in the output folder",
    "dicom": "DICOM objects, in the output folder, as a pattern `….{seg,gsps,sc,sr}.dcm`; what could not be made, and why",
}
"""Columns and what they hold."""
FORMULA = ("=", "+", "-", "@", "'")
"""Spreadsheets evaluate a cell that begins with one of the first four as a formula; `'` marks text."""

Row = dict[str, object]
STUDY = "study"
"""Key of a row that is not a column: names the study without its UID."""


def row(name: str, scored: Scored, overlay: str = "", dicom: str = "", warning: str = "") -> Row:
    """One study's row; `name` is its path in printable form, `warning` the bundle's, which precedes the study's."""
    if scored.prediction is None or scored.facts is None:
        reason = scored.refusal.message if scored.refusal else "not read"
        return {"file": name, "verdict": "refused", "probability": math.nan, "reason": reason}
    found = measure(scored.prediction.mask, scored.facts)
    return {
        "file": name,
        "verdict": "read",
        "probability": scored.prediction.prob,
        "decision": "mask" if found.area_px else "no mask",
        "reason": scored.prediction.reason,
        "warning": "; ".join([*[warning] * bool(warning), *scored.facts.warnings]),
        STUDY: _digest(scored.facts.study_uid),
        "area_px": found.area_px,
        "area_mm2": found.area_mm2,
        "side": found.side,
        "overlay": overlay,
        "dicom": dicom,
    }


def _digest(study_uid: str | None) -> str | None:
    return None if study_uid is None else hashlib.sha256(study_uid.encode()).hexdigest()[:16]


def table(rows: list[Row]) -> pd.DataFrame:
    """All rows, the most probable first; equal ones by name."""
    frame = pd.DataFrame(rows, columns=[*COLUMNS, STUDY])
    studies = frame.assign(probability=frame["probability"].astype("float64")).groupby(STUDY)["probability"]
    frame["study_images"], frame["study_probability"] = studies.transform("size"), studies.transform("max")
    numbers = {"probability": "float64", "study_images": "Int64", "study_probability": "Float64"}
    numbers |= {"area_px": "Int64", "area_mm2": "Float64"}
    frame = frame[list(COLUMNS)]
    frame = frame.astype({name: numbers.get(name, "string") for name in COLUMNS}).round({"area_mm2": 1})
    return frame.sort_values(["probability", "file"], ascending=[False, True], ignore_index=True)


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write the table atomically; probabilities to 4 digits, texts safe for spreadsheets."""
    safe = frame.round({"probability": 4, "study_probability": 4})
    for name in frame.columns[frame.dtypes == "string"]:
        safe[name] = frame[name].map(for_spreadsheets, na_action="ignore")
    write_text(path, safe.to_csv(index=False, lineterminator="\n"))


def for_spreadsheets(text: str) -> str:
    """A text that a spreadsheet displays instead of evaluating it: `'` goes before `=`, `+`, `-`, `@` and `'`."""
    return f"'{text}" if text.startswith(FORMULA) else text


def from_spreadsheets(text: str) -> str:
    """The text that `for_spreadsheets` was given."""
    return text[1:] if text.startswith("'") else text


def is_ours(path: Path) -> bool:
    """Whether a file is such a table, by its first line."""
    try:
        with path.open("rb") as handle:
            return handle.readline(500).strip() == ",".join(COLUMNS).encode()
    except OSError:
        return False
