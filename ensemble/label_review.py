"""Review suspicious labels: `python -m ensemble.label_review [--first N]`, then `--apply QUEUE.csv --output LABELS.csv`.

The first call ranks the training images by out-of-fold predictions and writes reports/label_review/queue.csv and sheets of
pictures. Write `accepted` or `rejected` into the column `decision`; the second call writes all labels with the accepted changes,
and beside them LABELS.json: the queue's checksum, the data, the time and the counts. `--plant SHARE` measures the ranking.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from ensemble import label_errors
from ensemble.evaluation import overlay_sheets
from experiments.monitoring.pseudonyms import OUT_OF_FOLD
from imaging.io import command
from imaging.io.files import atomic, sha256, write_json
from imaging.plotting import save
from imaging.prepared import FOLDER, Prepared

TABLE = Path("reports/ensemble") / OUT_OF_FOLD
OUTPUT = Path("reports/label_review")
COLUMNS = 5
TEXT = {"image_id": str, "patient_id": str}
SEEDS = 20
"""Draws of planted errors."""


def main() -> None:
    """Queue, apply or measure."""
    parser = argparse.ArgumentParser(prog="python -m ensemble.label_review", description=__doc__)
    parser.add_argument("--first", type=int, default=100, help="images of the queue, default 100")
    parser.add_argument("--apply", type=Path, metavar="QUEUE.csv", help="a reviewed queue")
    parser.add_argument(
        "--output", type=Path, default=OUTPUT / "labels.csv", help="labels that --apply writes"
    )
    parser.add_argument("--plant", type=float, metavar="SHARE", help="flip this share and count the finds")
    given = parser.parse_args()
    if given.apply:
        print(apply(given.apply, given.output, Prepared(FOLDER)), flush=True)
    elif given.plant is not None:
        print(plant(read(), given.plant, given.first), flush=True)
    else:
        print(write_queue(read(), given.first, Prepared(FOLDER)), flush=True)


def read() -> pd.DataFrame:
    """The out-of-fold predictions; a ValueError says how to make them."""
    if not TABLE.is_file():
        raise ValueError(f"{TABLE}: missing; run `python -m ensemble.fit`")
    return pd.read_csv(TABLE, dtype=TEXT)


def write_queue(table: pd.DataFrame, first: int, prepared: Prepared) -> str:
    """Write the queue and its pictures; returns what was written."""
    found = label_errors.queue(table)
    with atomic(OUTPUT / "queue.csv") as temporary:
        found.head(first).assign(decision="").to_csv(temporary, index=False, float_format="%.6f")
    shown = found.head(min(first, 4 * COLUMNS))
    pictures, captions = {}, {}
    for image_id, rank, label, prob in zip(
        *(shown[name].tolist() for name in ("image_id", "rank", "label", "prob")), strict=True
    ):
        place = int(prepared.rows([image_id])[0])
        mask = prepared.mask(place).astype(np.bool_)
        pictures[image_id] = overlay_sheets.draw(prepared.images[place], mask, np.zeros_like(mask))
        captions[image_id] = f"{rank}: labelled {label}, p = {prob:.2f}"
    ids = shown["image_id"].tolist()
    rows = {" " * k: ids[start : start + COLUMNS] for k, start in enumerate(range(0, len(ids), COLUMNS))}
    save(overlay_sheets.sheet(rows, pictures, captions, "Most suspicious labels"), OUTPUT / "queue.png")
    likely = int(found["likely_error"].sum())
    return f"{OUTPUT}/queue.csv: {min(first, len(found))} of {len(found)} labels, {likely} likely errors; queue.png: the first"


def apply(path: Path, output: Path, prepared: Prepared) -> str:
    """Write the labels with the accepted changes of a reviewed queue, and where they are from."""
    reviewed = pd.read_csv(path, dtype={**TEXT, "decision": str})
    labelled = prepared.index[prepared.index["label"].notna()]
    made = label_errors.corrected(
        labelled[["image_id", "label"]].astype({"label": int}).reset_index(drop=True), reviewed
    )
    with atomic(output) as temporary:
        made.to_csv(temporary, index=False, lineterminator="\n")
    counts = {name: int((made["review"] == name).sum()) for name in ("accepted", "rejected")}
    note = {
        "queue": {"file": path.name, "sha256": sha256(path)},
        "data_fingerprint": prepared.fingerprint,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        **counts,
    }
    write_json(output.with_suffix(".json"), note)
    return f"{output}: {len(made)} labels, {counts['accepted']} changed, {counts['rejected']} confirmed"


def plant(table: pd.DataFrame, share: float, first: int) -> str:
    """Planted errors among the first of the queue, over several draws, against random."""
    found = [label_errors.planted(table, share, seed, first) for seed in range(SEEDS)]
    hits = np.array([one[0] for one in found])
    return (
        f"{found[0][1]} of {len(table)} labels flipped: {hits.mean():.1f} ({hits.min()} to {hits.max()}, {SEEDS} draws) among "
        f"the first {first} of the queue, {found[0][2]:.1f} expected at random"
    )


if __name__ == "__main__":
    command.run(main)
