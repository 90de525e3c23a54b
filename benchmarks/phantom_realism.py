"""Compare generated chest phantoms with real radiographs: greys, spectrum, anatomy, and how well they can be told apart.

    python -m benchmarks.phantom_realism --real FOLDER [--phantoms 300] [--limit 300] [--seed 1]

FOLDER holds DICOM files or pictures of real chest radiographs. Prints Markdown tables: mean and standard deviation over images
of each statistic, and the cross-validated AUROC of a logistic regression that tells real from phantom by a group of statistics
(0.5: cannot tell; 1: always). The last table has the AUROC by place: 8 x 8 cells of the picture, each with its own regression.
Nothing of the real radiographs is written anywhere.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from imaging.formats import reader
from imaging.phantom import render
from imaging.settings import PhantomSettings

SIDE = 256
"""Side in pixels to which every image is reduced."""
CELLS = 8
QUANTILES = (1, 5, 25, 50, 75, 95, 99)
BANDS = (1, 2, 4, 8, 16, 32, 64, 128)
"""Borders of the spatial frequency bands in cycles per picture."""
Floats = NDArray[np.float64]


def real_images(folder: Path, limit: int) -> list[NDArray[np.uint8]]:
    """At most `limit` images of a folder, spread evenly over its sorted files. ValueError if none can be read."""
    files = sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in (".dcm", ".png", ".jpg", ".jpeg")
    )
    chosen = [files[i] for i in np.unique(np.linspace(0, len(files) - 1, min(limit, len(files))).astype(int))]
    images = [reduced(reader.read(path).pixels) for path in chosen]
    if not images:
        raise ValueError(f"{folder}: no DICOM file or picture; name the folder that holds the radiographs")
    return images


def phantom_images(count: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """`count` phantoms with the settings' own prevalence and difficulty."""
    settings = PhantomSettings(train=max(count, 20), test=1, seed=seed)
    for index in range(count):
        yield reduced(render(seed, index, settings).pixels)


def reduced(pixels: NDArray) -> NDArray[np.uint8]:
    """(H, W) grey, uint8 or uint16, to (SIDE, SIDE) uint8."""
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    return np.asarray(cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def statistics(image: NDArray[np.uint8]) -> dict[str, float]:
    """Statistics of one image, (SIDE, SIDE) uint8, by name; the part before the colon is the group."""
    grey = image.astype(np.float64)
    found = {f"greys: quantile {q} %": float(np.percentile(grey, q)) for q in QUANTILES}
    found["greys: standard deviation"] = float(grey.std())
    found |= {f"spectrum: {name}": value for name, value in spectrum(grey).items()}
    normal = (grey - grey.mean()) / (grey.std() + 1e-6)
    detail = normal - cv2.GaussianBlur(normal, (0, 0), 4.0)
    found["local contrast: whole picture"] = float(detail.std())
    found["local contrast: 90 % over 50 % of cells"] = ratio(cells(detail, np.std), 90, 50)
    columns, rows = grey[SIDE // 4 : SIDE // 2].mean(0), grey[:, SIDE // 4 : 3 * SIDE // 4].mean(1)
    middle, lungs = columns[115:141].mean(), (columns[45:90].min() + columns[166:211].min()) / 2
    found["anatomy: mediastinum over lung"] = float(middle / max(lungs, 1.0))
    found["anatomy: x of the mediastinum"] = float(64 + columns[64:192].argmax()) / SIDE
    found["anatomy: lower over upper half"] = float(
        rows[SIDE // 2 :].mean() / max(rows[: SIDE // 2].mean(), 1.0)
    )
    border = np.concatenate([grey[:4].ravel(), grey[-4:].ravel(), grey[:, :4].ravel(), grey[:, -4:].ravel()])
    found["border: share of black"] = float((border < 8).mean())
    found["border: share of white"] = float((border > 247).mean())
    return found


def spectrum(grey: Floats) -> dict[str, float]:
    """Log10 of the mean power of each frequency band, of the standardised image under a Hann window."""
    window = np.outer(np.hanning(SIDE), np.hanning(SIDE))
    power = np.abs(np.fft.fft2((grey - grey.mean()) / (grey.std() + 1e-6) * window)) ** 2
    axis = np.fft.fftfreq(SIDE) * SIDE
    radius = np.hypot(*np.meshgrid(axis, axis))
    return {
        f"{low} to {high} cycles": float(np.log10(power[(radius >= low) & (radius < high)].mean() + 1e-9))
        for low, high in pairwise(BANDS)
    }


def cells(image: Floats, measure: Callable[[Floats], float]) -> Floats:
    """`measure` of each of the CELLS x CELLS cells, flat."""
    step = SIDE // CELLS
    blocks = image.reshape(CELLS, step, CELLS, step).swapaxes(1, 2).reshape(CELLS * CELLS, -1)
    return np.asarray([measure(block) for block in blocks])


def ratio(values: Floats, high: int, low: int) -> float:
    """Quotient of two percentiles."""
    return float(np.percentile(values, high) / max(np.percentile(values, low), 1e-6))


def cell_features(image: NDArray[np.uint8]) -> Floats:
    """Mean, standard deviation and fine detail of each cell, (CELLS * CELLS, 3)."""
    grey = image.astype(np.float64)
    detail = grey - cv2.GaussianBlur(grey, (0, 0), 2.0)
    return np.stack([cells(grey, np.mean), cells(grey, np.std), cells(detail, np.std)], 1)


def separability(features: Floats, real: NDArray[np.bool_]) -> float:
    """Cross-validated AUROC of a logistic regression on features (N, F) for `real` (N,)."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=500))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    prob = cross_val_predict(model, features, real, cv=folds, method="predict_proba")[:, 1]
    return float(roc_auc_score(real, prob))


def report(real: list[NDArray[np.uint8]], phantom: list[NDArray[np.uint8]]) -> str:
    """The three tables as Markdown."""
    images, label = [*real, *phantom], np.array([True] * len(real) + [False] * len(phantom))
    found = [statistics(image) for image in images]
    names = list(found[0])
    values = np.array([[one[name] for name in names] for one in found])
    lines = [
        f"{len(real)} real images, {len(phantom)} phantoms.\n",
        "| statistic | real | phantom | AUROC |",
        "|---|---|---|---|",
    ]
    for column, name in enumerate(names):
        value = values[:, column]
        one, other = value[label], value[~label]
        auroc = max(area := float(roc_auc_score(label, value)), 1 - area)
        lines.append(
            f"| {name} | {one.mean():.2f} ± {one.std():.2f} | {other.mean():.2f} ± {other.std():.2f} | {auroc:.2f} |"
        )
    lines += ["\n| told apart by | AUROC |", "|---|---|"]
    for group in dict.fromkeys(name.split(":")[0] for name in names):
        columns = [column for column, name in enumerate(names) if name.startswith(group)]
        lines.append(f"| {group} | {separability(values[:, columns], label):.2f} |")
    lines.append(f"| all statistics | {separability(values, label):.2f} |")
    place = np.stack([cell_features(image) for image in images])
    lines.append(
        "\nAUROC by place, from the upper left (mean, standard deviation and detail of each cell):\n"
    )
    grid = np.array([separability(place[:, cell], label) for cell in range(CELLS * CELLS)]).reshape(
        CELLS, CELLS
    )
    lines += ["|" + " |" * CELLS, "|" + "---|" * CELLS]
    lines += ["| " + " | ".join(f"{value:.2f}" for value in row) + " |" for row in grid]
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.phantom_realism", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--real", type=Path, required=True, help="folder of real chest radiographs")
    parser.add_argument("--phantoms", type=int, default=300, help="number of phantoms (%(default)s)")
    parser.add_argument("--limit", type=int, default=300, help="number of real images at most (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the phantoms (%(default)s)")
    given = parser.parse_args()
    try:
        real = real_images(given.real, given.limit)
    except ValueError as error:
        sys.exit(str(error))
    print(report(real, list(phantom_images(given.phantoms, given.seed))))


if __name__ == "__main__":
    main()
