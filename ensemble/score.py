"""Score any submission file against any label file: `python -m ensemble.score SUBMISSION TRUTH [--json]`.

Both files are tables of image id and run-length code, in Kaggle's first or second form: several rows of an image are combined;
blanks in the header and before `-1`, semicolons or tabs as separators, and empty columns at the end are allowed. Dice is
counted on the runs; 12,047 images take seconds.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from ensemble.metrics import Breakdown, breakdown, dice_of_counts
from imaging import runs
from imaging.io import command
from imaging.io.tables import SEPARATORS
from imaging.rle import REFUSED, RleError
from imaging.runs import Runs

SHAPE = (1024, 1024)
LONGEST = 2**24
"""Characters of a code: a checkerboard of 1024 x 1024 pixels takes 2 million."""


def read_codes(path: str | Path) -> pd.DataFrame:
    """Read a table of codes as (image_id, code), one row per code; ValueError names the file and its fault."""
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as handle:
            table = _table(handle.read().splitlines(), path)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file") from error
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text; save it again as CSV, UTF-8") from error
    if table["image_id"].eq("").any():
        raise ValueError(f"{path}: row {int(table['image_id'].eq('').argmax()) + 2} has no image id")
    twice = table.duplicated()
    if twice.any():
        raise ValueError(f"{path}: image {table['image_id'][int(twice.argmax())]} has the same row twice")
    return table


def _table(lines: list[str], path: str | Path) -> pd.DataFrame:
    """The two columns of a table in text lines."""
    if not lines:
        raise ValueError(f"{path}: empty")
    rows = _rows(lines, path)
    _, header = next(rows, (1, []))
    missing = [name for name in ("ImageId", "EncodedPixels") if name not in header]
    if missing:
        raise ValueError(f"{path}: column {missing[0]} is missing; found {', '.join(header)}")
    for name in ("ImageId", "EncodedPixels"):
        if header.count(name) > 1:
            raise ValueError(f"{path}: column {name} appears {header.count(name)} times; keep one")
    places = [header.index("ImageId"), header.index("EncodedPixels")]
    found = []
    for number, cells in rows:
        if len(cells) > len(header):
            raise ValueError(f"{path}: line {number} has {len(cells)} columns, the header has {len(header)}")
        found.append([cells[place] if place < len(cells) else "" for place in places])
    return pd.DataFrame(found, columns=["image_id", "code"], dtype=str)


def _rows(lines: list[str], path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """(line number, stripped cells without empty ones at the end) of every line that is not blank."""
    csv.field_size_limit(LONGEST)
    reader = csv.reader(lines, delimiter=max(SEPARATORS, key=lines[0].count))
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                while not cells[-1]:
                    cells.pop()
                yield reader.line_num, cells
    except csv.Error as error:
        raise ValueError(f"{path}: line {reader.line_num}: not a CSV table: {error}") from error


def united(table: pd.DataFrame, pixels: int, path: str | Path) -> dict[str, Runs]:
    """Runs of each image; an image with `-1` beside a code, or with a malformed code, is refused by name."""
    found: dict[str, Runs] = {}
    for image_id, codes in table.groupby("image_id", sort=False)["code"]:
        if (codes == REFUSED).any():
            raise ValueError(
                f"{path}: image {image_id} is `{REFUSED}`: ensemble.submit could not read its file "
                "(the table beside the submission has the reason); write -1 to score it as empty"
            )
        try:
            parts = [runs.parse(code, pixels) for code in codes]
        except RleError as error:
            raise ValueError(f"{path}: image {image_id}: {error}") from error
        if len(parts) > 1 and any(len(part) == 0 for part in parts):
            raise ValueError(f"{path}: image {image_id} has both -1 and a mask in its {len(parts)} rows")
        found[str(image_id)] = runs.union(parts)
    return found


def compare_ids(submission: dict[str, Runs], truth: dict[str, Runs], path: str | Path) -> None:
    """Refuse a submission that leaves images out or adds some."""
    missing, extra = truth.keys() - submission.keys(), submission.keys() - truth.keys()
    for names, word in ((missing, "missing from the submission"), (extra, "not in the label file")):
        if names:
            some = ", ".join(sorted(names)[:3]) + (" ..." if len(names) > 3 else "")
            raise ValueError(f"{path}: {word}: {some} ({len(names)} in all)")


def dice_table(submission: dict[str, Runs], truth: dict[str, Runs]) -> pd.DataFrame:
    """One row per image of the truth: image_id, label, submitted (a mask, not -1), dice."""
    rows = [
        (image_id, len(true) > 0, len(predicted) > 0, _dice(predicted, true))
        for image_id, true in truth.items()
        for predicted in (submission[image_id],)
    ]
    return pd.DataFrame(rows, columns=["image_id", "label", "submitted", "dice"])


def _dice(predicted: Runs, true: Runs) -> float:
    return dice_of_counts(runs.overlap(predicted, true), runs.area(predicted), runs.area(true))


def score(submission: str | Path, truth: str | Path, shape: tuple[int, int] = SHAPE) -> Breakdown:
    """Official score of a submission file against a label file, with its decomposition."""
    pixels = math.prod(shape)
    predicted, true = (united(read_codes(path), pixels, path) for path in (submission, truth))
    compare_ids(predicted, true, submission)
    if not true:
        raise ValueError(f"{truth}: no images, only a header")
    table = dice_table(predicted, true)
    return breakdown(table["dice"].to_numpy(), table["label"].to_numpy())


def in_words(result: Breakdown) -> str:
    """The decomposition as a few lines of ASCII text, for any terminal."""
    negatives = result.images - result.positives
    parts = f"(1 - {result.prevalence:.4f}) * TNR + {result.prevalence:.4f} * D+"
    return "\n".join(
        [
            f"Kaggle Dice {result.score:.6f}   = {parts}",
            f"TNR         {result.tnr:.6f}   share of the {negatives:,} empty images left empty",
            f"D+          {result.dice_positive:.6f}   mean Dice of the {result.positives:,} positive images",
            f"all empty   {result.all_empty:.6f}   what submitting nothing would score",
        ]
    )


def as_json(result: Breakdown) -> dict[str, float | int | None]:
    """The numbers under the names of reports/evaluation/metrics.json; None where there is no such image."""
    named = {"kaggle_dice": result.score} | {k: v for k, v in asdict(result).items() if k != "score"}
    return {key: None if math.isnan(value) else value for key, value in named.items()}


def parse_shape(text: str) -> tuple[int, int]:
    """`1024x1024` as (height, width)."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, for example 1024x1024")
    return int(parts[0]), int(parts[1])


def main(arguments: list[str] | None = None) -> None:
    """Print the score of a submission."""
    parser = argparse.ArgumentParser(prog="python -m ensemble.score", description=__doc__.split("\n")[0])
    parser.add_argument("submission", type=command.place)
    parser.add_argument("truth", type=command.place)
    parser.add_argument("--shape", type=parse_shape, default=SHAPE, help="HEIGHTxWIDTH of all images")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    result = score(options.submission, options.truth, options.shape)
    print(json.dumps(as_json(result), indent=2) if options.json else in_words(result))


if __name__ == "__main__":
    command.run(main)
