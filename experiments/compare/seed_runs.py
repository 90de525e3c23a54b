"""What is kept for each seed of a recipe: metrics, decision and tables of images, in reports/seeds/seed<n>/.

index.json lists the seeds with the SHA-256 of their metrics.json: an evaluation that is not among them belongs to another run.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from experiments.monitoring.pseudonyms import OUT_OF_FOLD
from imaging.io.files import atomic_folder, read_json, sha256, write_json

FOLDER = Path("reports/seeds")
INDEX = "index.json"
METRICS = "metrics.json"
IMAGES = "per_image.csv"
FILES = {
    METRICS: Path("reports/evaluation/metrics.json"),
    IMAGES: Path("reports/evaluation/report/per_image.csv"),
    OUT_OF_FOLD: Path("reports/ensemble") / OUT_OF_FOLD,
    "decision.json": Path("models/ensemble/decision.json"),
}
"""Name in a seed's folder -> the pipeline's output."""


@dataclass(frozen=True)
class Kept:
    """own: name of the seed that an evaluation belongs to, empty where it belongs to none; others: folders of the other
    seeds."""

    own: str
    others: list[Path]


def keep(number: int, folder: Path = FOLDER) -> Path:
    """Keep the outputs of the finished pipeline run as those of a seed number."""
    target = folder / f"seed{number}"
    with atomic_folder(target, METRICS) as place:
        for name, path in FILES.items():
            shutil.copyfile(path, place / name)
    return target


def write_index(count: int, folder: Path = FOLDER) -> list[Path]:
    """List the first `count` seeds in index.json and remove what is kept for others; returns their folders."""
    kept = [folder / f"seed{number}" for number in range(count)]
    for other in set(folder.glob("seed*")) - set(kept):
        shutil.rmtree(other)
    write_json(folder / INDEX, {one.name: sha256(one / METRICS) for one in kept})
    return kept


def of_metrics(folder: Path, metrics: Path) -> Kept:
    """The seed whose metrics.json equals `metrics`, and the other seeds of its recipe."""
    index = read_json(folder / INDEX) if (folder / INDEX).is_file() else {}
    own = next((name for name, digest in index.items() if digest == sha256(metrics)), "")
    return Kept(own, [folder / name for name in index if name != own] if own else [])
