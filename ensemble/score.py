"""`python -m ensemble.score SUBMISSION TRUTH`: the official score of any submission file against any label
file.

Both files are tables of image id and run-length code, in Kaggle's first or second form: several rows of an
image are united, blanks in the header and before `-1` are allowed. Dice is counted on the runs; 12,047
images take seconds."""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from ensemble.metrics import Breakdown, breakdown, dice_of_counts
from imaging import runs
from imaging.io import command
from imaging.rle import RleError
from imaging.runs import Runs

SHAPE = (1024, 1024)


def read_codes(path: str | Path) -> pd.DataFrame:
    """Read a table of codes as (image_id, code), one row a code; ValueError names the file and what is
    wrong with it."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a CSV table: {error}") from error
    table.columns = [str(name).strip() for name in table.columns]
    missing = [name for name in ("ImageId", "EncodedPixels") if name not in table.columns]
    if missing:
        raise ValueError(f"{path}: column {missing[0]} is missing; found {', '.join(table.columns)}")
    table = table[["ImageId", "EncodedPixels"]].apply(lambda column: column.str.strip())
    table.columns = ["image_id", "code"]
    if table["image_id"].eq("").any():
        raise ValueError(f"{path}: row {int(table['image_id'].eq('').argmax()) + 2} has no image id")
    twice = table.duplicated()
    if twice.any():
        raise ValueError(f"{path}: image {table['image_id'][int(twice.argmax())]} has the same row twice")
    return table


def united(table: pd.DataFrame, pixels: int, path: str | Path) -> dict[str, Runs]:
    """Runs of each image; an image with `-1` beside a code, or with a malformed code, is refused by name."""
    found: dict[str, Runs] = {}
    for image_id, codes in table.groupby("image_id", sort=False)["code"]:
        try:
            parts = [runs.parse(code, pixels) for code in codes]
        except RleError as error:
            raise ValueError(f"{path}: image {image_id}: {error}") from error
        if len(parts) > 1 and any(len(part) == 0 for part in parts):
            raise ValueError(f"{path}: image {image_id} has -1 beside a mask in its {len(parts)} rows")
        found[str(image_id)] = runs.union(parts)
    return found


def compare_ids(submission: dict[str, Runs], truth: dict[str, Runs], path: str | Path) -> None:
    """Refuse a submission that leaves images out or adds some."""
    missing, extra = truth.keys() - submission.keys(), submission.keys() - truth.keys()
    for names, word in ((missing, "missing from the submission"), (extra, "not in the label file")):
        if names:
            some = ", ".join(sorted(names)[:3]) + (" …" if len(names) > 3 else "")
            raise ValueError(f"{path}: {word}: {some} ({len(names)} in all)")


def dice_table(submission: dict[str, Runs], truth: dict[str, Runs]) -> pd.DataFrame:
    """One row an image of the truth: image_id, label, submitted (a mask, not -1), dice."""
    rows = [
        (image_id, len(true) > 0, len(said) > 0, _dice(said, true))
        for image_id, true in truth.items()
        for said in (submission[image_id],)
    ]
    return pd.DataFrame(rows, columns=["image_id", "label", "submitted", "dice"])


def _dice(said: Runs, true: Runs) -> float:
    return dice_of_counts(runs.overlap(said, true), runs.area(said), runs.area(true))


def score(submission: str | Path, truth: str | Path, shape: tuple[int, int] = SHAPE) -> Breakdown:
    """Official score of a submission file against a label file, with its decomposition."""
    pixels = math.prod(shape)
    said, true = (united(read_codes(path), pixels, path) for path in (submission, truth))
    compare_ids(said, true, submission)
    table = dice_table(said, true)
    return breakdown(table["dice"].to_numpy(), table["label"].to_numpy())


def in_words(result: Breakdown) -> str:
    """The decomposition as a few lines of text."""
    negatives = result.images - result.positives
    parts = f"(1 − {result.prevalence:.4f})·TNR + {result.prevalence:.4f}·D⁺"
    return "\n".join(
        [
            f"score      {result.score:.6f}   = {parts}",
            f"TNR        {result.tnr:.6f}   share of the {negatives:,} empty images left empty",
            f"D⁺         {result.dice_positive:.6f}   mean Dice of the {result.positives:,} positive images",
            f"all empty  {result.all_empty:.6f}   what submitting nothing would score",
        ]
    )


def parse_shape(text: str) -> tuple[int, int]:
    """`1024x1024` as (height, width)."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, for example 1024x1024")
    return int(parts[0]), int(parts[1])


def main(arguments: list[str] | None = None) -> None:
    """Print the score of a submission."""
    parser = argparse.ArgumentParser(prog="python -m ensemble.score", description=__doc__.split("\n")[0])
    parser.add_argument("submission", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--shape", type=parse_shape, default=SHAPE, help="HEIGHTxWIDTH of all images")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    try:
        result = score(options.submission, options.truth, options.shape)
    except ValueError as error:
        sys.exit(str(error))
    plain = {key: None if isinstance(v, float) and math.isnan(v) else v for key, v in asdict(result).items()}
    print(json.dumps(plain, indent=2) if options.json else in_words(result))


if __name__ == "__main__":
    command.run(main)
