"""How often the warnings of docs/warnings.md are given: `python -m benchmarks.input_warnings [--prepared DIR] [--files DIR …]`.

First table: limits of pictures (imaging.domain.limits) from the training images of a finished run, or with `--train` from two
thirds of the files of a folder, and how many pictures of each kind they warn about: the hold-out, as it is and changed,
generated head CT slices, and the files of each `--files` folder. Second table: the body's width and how often the pixel spacing
is warned about, in `--phantoms` and in each `--files` folder. Nothing of the files is written.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imaging.decoding.radiograph import Facts, RefusedFile, to_uint8
from imaging.domain import limits
from imaging.domain.limits import InputLimits
from imaging.domain.plausibility import body_share
from imaging.formats import reader
from imaging.io.walk import walk
from imaging.phantom.head import slices
from imaging.prepared import HOLDOUT, Prepared
from imaging.resize import resize_image
from imaging.settings import PhantomSettings

Image = NDArray[np.uint8]
SIDE = 160
MOST = 200
"""Number of files read from a folder, spread evenly over all."""


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="Measure how often inputs are warned about.")
    parser.add_argument("--prepared", type=Path, default=Path("data/prepared"))
    parser.add_argument("--phantoms", type=Path, default=Path("data/phantom"), help="their DICOM files")
    parser.add_argument("--files", type=Path, nargs="*", default=[], help="folders of radiographs")
    parser.add_argument("--train", type=Path, help="a folder of radiographs, instead of --prepared")
    given = parser.parse_args()
    print("| pictures | warned |\n|---|---:|")
    record, holdout = of_folder(given.train) if given.train else of_run(given.prepared)
    side = len(holdout[0])
    kinds: dict[str, list[Image]] = {name: [f(one) for one in holdout] for name, f in CHANGES.items()}
    kinds["head CT phantoms"] = heads(side)
    for name, pictures in kinds.items():
        print(row(record, name, pictures), flush=True)
    for folder in given.files:
        squares = [resize_image(to_uint8(found), side) for found, _ in read(folder)]
        print(row(record, folder.name, squares), flush=True)
    print(
        "\n| files | body's width in shares of the picture's (5 %, median, 95 %) | warned |\n|---|---|---:|"
    )
    for folder in (given.phantoms, *given.files):
        print(spacing_row(folder), flush=True)


def of_run(prepared: Path) -> tuple[InputLimits, list[Image]]:
    """The limits of a run's training images, and its hold-out."""
    data = Prepared(prepared)
    rows, locked = np.sort(data.rows(data.folds.index[data.folds != HOLDOUT])), data.fold_rows(HOLDOUT)
    record = limits.make(data.index, data.images, rows.tolist(), locked.tolist())
    return record, [np.asarray(data.images[row]) for row in locked]


def of_folder(folder: Path) -> tuple[InputLimits, list[Image]]:
    """The limits from two thirds of the files of a folder, prepared at SIDE px, and the other third."""
    found = list(read(folder, 1000))
    images = np.stack([resize_image(to_uint8(pixels), SIDE) for pixels, _ in found])
    facts = [{"view": one.view, "sex": one.sex, "age": one.age} for _, one in found]
    rows = np.arange(len(found))
    index = pd.DataFrame(facts).astype({"age": "Int16"})
    record = limits.make(index, images, rows[rows % 3 > 0].tolist(), rows[rows % 3 == 0].tolist())
    return record, list(images[::3])


def row(record: InputLimits, name: str, pictures: list[Image]) -> str:
    """Number of pictures that get a warning."""
    warned = sum(bool(record.unlike(np.ascontiguousarray(one))) for one in pictures)
    return f"| {name} | {warned} of {len(pictures)} ({warned / max(1, len(pictures)):.1%}) |"


def part(image: Image, top: float, left: float, height: float, width: float) -> Image:
    """A part of a square, in fractions of its side, stretched to the whole."""
    side = len(image)
    cut = image[
        round(top * side) : round((top + height) * side), round(left * side) : round((left + width) * side)
    ]
    return resize_image(np.ascontiguousarray(cut), side)


def noisy(image: Image) -> Image:
    """Noise of standard deviation 20 added."""
    noise = np.random.default_rng(0).normal(0, 20, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def gamma(image: Image, power: float) -> Image:
    """Apply a gamma to greys 0..255."""
    return np.asarray(255 * (image / 255) ** power, np.uint8)


CHANGES: dict[str, Callable[[Image], Image]] = {
    "hold-out as it is": lambda i: i,
    "turned by 90 degrees": lambda i: np.rot90(i),
    "turned by 180 degrees": lambda i: np.rot90(i, 2),
    "turned by 270 degrees": lambda i: np.rot90(i, 3),
    "upside down": lambda i: i[::-1],
    "mirrored": lambda i: i[:, ::-1],
    "inverted": lambda i: 255 - i,
    "noise alone": lambda i: np.random.default_rng(int(i.sum())).integers(0, 256, i.shape).astype(np.uint8),
    "noise of standard deviation 20 added": noisy,
    "blurred, σ 3 px": lambda i: np.asarray(cv2.GaussianBlur(i, (0, 0), 3), np.uint8),
    "left half, stretched": lambda i: part(i, 0, 0, 1, 0.5),
    "middle two thirds, enlarged": lambda i: part(i, 1 / 6, 1 / 6, 2 / 3, 2 / 3),
    "gamma 0.5": lambda i: gamma(i, 0.5),
    "gamma 2": lambda i: gamma(i, 2),
    "half as bright": lambda i: i // 2,
}


def heads(size: int, count: int = 60) -> list[Image]:
    """Generated head CT slices in the brain window."""
    settings = PhantomSettings(kind="head_ct", train=count)
    return [resize_image(slices.render(settings, number).brain, size) for number in range(count)]


def read(folder: Path, most: int = MOST) -> Iterator[tuple[NDArray[np.uint8] | NDArray[np.uint16], Facts]]:
    """At most `most` readable files of a folder, evenly over all of them, each with its facts."""
    paths = sorted(entry.path for entry in walk(folder) if entry.is_image)
    for place in np.linspace(0, len(paths) - 1, min(most, len(paths))).round().astype(int):
        try:
            found = reader.read(paths[place])
        except RefusedFile:
            continue
        yield found.pixels, found.facts


def spacing_row(folder: Path) -> str:
    """Width of the body, and how many files with a spacing have it warned about."""
    shares, warned, given = [], 0, 0
    for pixels, facts in read(folder):
        codes = [code for code in facts.warning_codes if code.startswith("SPACING")]
        shares.append(body_share(pixels))
        warned += bool(codes)
        given += bool(codes) or facts.spacing_mm is not None
    if not shares:
        return f"| {folder.name} | no files | – |"
    low, middle, high = np.quantile(shares, (0.05, 0.5, 0.95))
    return f"| {folder.name} | {low:.2f}, {middle:.2f}, {high:.2f} | {warned} of {given} |"


if __name__ == "__main__":
    main()
