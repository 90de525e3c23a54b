"""triage.csv: one row a study, the most probable first, those that could not be read last and never as empty."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from ensemble.inference.findings import measure
from ensemble.inference.predictor import Scored
from imaging.io.files import atomic

COLUMNS = {
    "file": "path inside the folder that was read",
    "verdict": "`read` or `refused`",
    "probability": "calibrated probability of a pneumothorax",
    "decision": "`mask` or `no mask`",
    "reason": "why, in words; for a refused file why it could not be read",
    "area_px": "pixels of the mask, at the file's own resolution",
    "area_mm2": "the same in square millimetres, where the file says its spacing",
    "side": "the patient's: `left`, `right`, `both`",
    "overlay": "the picture, in the output folder",
    "dicom": "DICOM objects, in the output folder, as a pattern `….{seg,gsps,sc}.dcm`; or `none: ` and why",
}
"""Columns and what they hold."""

Row = dict[str, object]


def row(name: str, scored: Scored, overlay: str = "", dicom: str = "") -> Row:
    """One study's row; `name` is its path as people see it."""
    if scored.prediction is None or scored.facts is None:
        reason = scored.refusal.reason if scored.refusal else "not read"
        return {"file": name, "verdict": "refused", "probability": math.nan, "reason": reason}
    found = measure(scored.prediction.mask, scored.facts)
    return {
        "file": name,
        "verdict": "read",
        "probability": scored.prediction.prob,
        "decision": "mask" if found.area_px else "no mask",
        "reason": scored.prediction.reason,
        "area_px": found.area_px,
        "area_mm2": found.area_mm2,
        "side": found.side,
        "overlay": overlay,
        "dicom": dicom,
    }


def table(rows: list[Row]) -> pd.DataFrame:
    """All rows, the most probable first; equal ones by name."""
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    numbers = {"probability": "float64", "area_px": "Int64", "area_mm2": "Float64"}
    frame = frame.astype({name: numbers.get(name, "string") for name in COLUMNS}).round({"area_mm2": 1})
    return frame.sort_values(["probability", "file"], ascending=[False, True], ignore_index=True)


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write the table whole or not at all; probabilities to 4 digits."""
    shown = frame.assign(probability=frame["probability"].round(4))
    with atomic(path) as temporary:
        shown.to_csv(temporary, index=False, lineterminator="\n")
