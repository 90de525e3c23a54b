"""Review suspicious labels.

    python -m ensemble.label_review [--holdout] [--first N]        write the queue
    python -m ensemble.app --review reports/label_review/queue.csv  accept or reject in the browser
    python -m ensemble.label_review --apply QUEUE.csv --output LABELS.csv

The first call ranks the training images by out-of-fold predictions (--holdout: the hold-out by the evaluation's) and writes
reports/label_review/queue.csv and a sheet of pictures. Decide in the browser, or write `accepted` or `rejected` into the column
`decision`. The last call writes all labels with the accepted changes, LABELS.json (checksums, data, time, counts) and LABELS.md
(scores with and without the changes). `--plant SHARE` flips labels and counts how many the ranking finds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from ensemble.evaluation import overlay_sheets
from ensemble.labels import errors
from ensemble.labels import queue as queues
from ensemble.labels.scores import TABLES
from imaging.io import command
from imaging.plotting import save
from imaging.prepared import FOLDER, Prepared

OUT_OF_FOLD, HOLDOUT = TABLES.values()
OUTPUT = Path("reports/label_review")
COLUMNS = 5
SEEDS = 20
"""Number of draws of planted errors."""


def main() -> None:
    """Queue, apply or measure."""
    given = arguments()
    if given.apply:
        print(queues.apply(given.apply, given.output, Prepared(FOLDER)), flush=True)
        return
    table = read(HOLDOUT if given.holdout else OUT_OF_FOLD)
    if given.plant is not None:
        print(plant(table, given.plant, given.first), flush=True)
    else:
        print(write_queue(table, given.first, Prepared(FOLDER)), flush=True)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m ensemble.label_review",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--first",
        type=command.count,
        default=100,
        help="number of images in the queue (default: %(default)s)",
    )
    parser.add_argument(
        "--holdout", action="store_true", help="review the hold-out instead of the training images"
    )
    parser.add_argument("--apply", type=command.place, metavar="QUEUE.csv", help="apply this reviewed queue")
    parser.add_argument(
        "--output",
        type=command.place,
        default=OUTPUT / "labels.csv",
        help="labels that --apply writes (default: %(default)s)",
    )
    parser.add_argument(
        "--plant", type=command.share, metavar="SHARE", help="flip this share and count how many are found"
    )
    return parser.parse_args()


def read(path: Path) -> pd.DataFrame:
    """A table of predictions; a ValueError says how to make it."""
    if not path.is_file():
        raise ValueError(f"{path}: missing; run `dvc repro evaluate`")
    return pd.read_csv(path, dtype=queues.TEXT)


def write_queue(table: pd.DataFrame, first: int, prepared: Prepared) -> str:
    """Write the queue and its pictures; returns what was written."""
    found = errors.queue(table)
    queues.write(found.head(first).assign(decision=""), OUTPUT / "queue.csv")
    drawn = min(first, len(found), 4 * COLUMNS)
    save(sheet(found.head(drawn), prepared), OUTPUT / "queue.png")
    likely = int(found["likely_error"].sum())
    written = f"{OUTPUT}/queue.csv: {min(first, len(found))} of {len(found)} labels"
    return f"{written}, {likely} likely errors; the first {drawn} in queue.png"


def sheet(rows: pd.DataFrame, prepared: Prepared) -> overlay_sheets.Figure:
    """Pictures of images in the queue, with the annotated outline."""
    pictures, captions = {}, {}
    for row in rows.itertuples():
        place = int(prepared.rows([row.image_id])[0])
        mask = prepared.mask(place).astype(np.bool_)
        pictures[str(row.image_id)] = overlay_sheets.draw(prepared.images[place], mask, np.zeros_like(mask))
        captions[str(row.image_id)] = f"{row.rank}: labelled {row.label}, p = {row.prob:.2f}"
    ids = rows["image_id"].tolist()
    in_rows = {" " * k: ids[start : start + COLUMNS] for k, start in enumerate(range(0, len(ids), COLUMNS))}
    return overlay_sheets.sheet(in_rows, pictures, captions, "Most suspicious labels")


def plant(table: pd.DataFrame, share: float, first: int) -> str:
    """Planted errors among the first of the queue, over several draws, against random."""
    found = [errors.planted(table, share, seed, first) for seed in range(SEEDS)]
    hits = np.array([one[0] for one in found])
    return (
        f"{found[0][1]} of {len(table)} labels flipped: {hits.mean():.1f} ({hits.min()} to {hits.max()}, {SEEDS} "
        f"draws) among the first {first} of the queue, {found[0][2]:.1f} expected at random"
    )


if __name__ == "__main__":
    command.run(main)
