"""The queue of suspicious labels as a file: its decisions, and the new label file with its provenance.

`decision` is `accepted` (the label is wrong and changes), `rejected` (the label is right) or empty.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from ensemble.labels import scores
from imaging.io.files import atomic, check_names_file, sha256, write_json, write_text
from imaging.prepared import Prepared

DECISIONS = ("accepted", "rejected", "")
NEEDED = ("rank", "image_id", "label", "prob", "likely_error")
TEXT = {"image_id": str, "patient_id": str, "decision": str}


def read(path: Path) -> pd.DataFrame:
    """A queue with the column `decision`; a ValueError names what is missing."""
    check_names_file(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file; `python -m ensemble.label_review` writes a queue")
    queue = pd.read_csv(path, dtype=TEXT)
    missing = [name for name in NEEDED if name not in queue]
    if missing:
        raise ValueError(f"{path}: not a queue of ensemble.label_review: the column {missing[0]} is missing")
    return queue.assign(decision=queue["decision"].fillna("") if "decision" in queue else "")


def write(queue: pd.DataFrame, path: Path) -> None:
    """Write a queue atomically."""
    with atomic(path) as temporary:
        queue.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")


def corrected(labels: pd.DataFrame, reviewed: pd.DataFrame) -> pd.DataFrame:
    """Labels with the accepted changes: image_id, label, previous, review (`accepted`, `rejected` or empty).

    labels: image_id, label; reviewed: image_id, label, decision. A ValueError names an unknown image, a decision that is not one
    of DECISIONS, and a label that has changed since the queue was made.
    """
    known = labels.set_index("image_id")["label"]
    decision = reviewed.set_index("image_id")["decision"].fillna("").astype(str)
    wrong = sorted(set(decision) - set(DECISIONS))
    if wrong:
        raise ValueError(f"decision {wrong[0]!r}: write accepted, rejected or nothing")
    for image_id, label in zip(reviewed["image_id"], reviewed["label"], strict=True):
        if image_id not in known.index or known[image_id] != label:
            raise ValueError(
                f"{image_id}: not among the labels, or its label is no longer {label}; write the queue again"
            )
    review = labels["image_id"].map(decision).fillna("")
    new = np.where(review == "accepted", 1 - labels["label"], labels["label"])
    return pd.DataFrame(
        {"image_id": labels["image_id"], "label": new, "previous": labels["label"], "review": review}
    )


def apply(path: Path, output: Path, prepared: Prepared) -> str:
    """Write the labels with the accepted changes of a reviewed queue; together with OUTPUT.json, their provenance, and
    OUTPUT.md, the scores with and without the changes. Returns what was written."""
    check_names_file(output)
    labelled = prepared.index[prepared.index["label"].notna()]
    labels = labelled[["image_id", "label"]].astype({"label": int}).reset_index(drop=True)
    made = corrected(labels, read(path))
    with atomic(output) as temporary:
        made.to_csv(temporary, index=False, lineterminator="\n")
    counts = {name: int((made["review"] == name).sum()) for name in ("accepted", "rejected")}
    note = {
        "queue": {"file": path.name, "sha256": sha256(path)},
        "labels": {"file": output.name, "sha256": sha256(output)},
        "data_fingerprint": prepared.fingerprint,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        **counts,
    }
    write_json(output.with_suffix(".json"), note)
    write_text(output.with_suffix(".md"), scores.describe(made))
    return f"{output}: {len(made)} labels, {counts['accepted']} changed, {counts['rejected']} confirmed"
