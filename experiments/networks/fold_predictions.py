"""Which rows each fold's network predicts, and where the predictions are kept: the same for both stages."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.networks import weights
from imaging.io.config import read_yaml
from imaging.io.files import sha256, write_json
from imaging.prepared import EXTERNAL, Prepared

PARTS = ("oof", "holdout")


def argument(stage: str) -> str:
    """Model name from the command line of `python -m <stage>.predict MODEL`."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {stage}.predict", description="Predict with one model's fold networks."
    )
    parser.add_argument("model", help=f"a name from {stage}.models in params.yaml")
    return parser.parse_args().model


def folder_of(stage: str, model: str, part: str) -> Path:
    """`predictions/<stage>/<model>/<part>`, part one of oof and holdout."""
    return Path("predictions") / stage / model / part


def members(stage: str, model: str) -> list[tuple[int, Path]]:
    """(fold, weights file) of every trained fold."""
    return [(fold, weights.path_of(stage, model, fold)) for fold in read_yaml()["train_folds"]]


def parts_of(prepared: Prepared) -> tuple[str, ...]:
    """The parts that are predicted: PARTS, and the images of external sources where there are any."""
    return (*PARTS, EXTERNAL) if prepared.external else PARTS


def rows_of(prepared: Prepared, part: str, fold: int) -> NDArray[np.int64]:
    """The fold's own images out of fold; the hold-out's or the external images for every fold."""
    return prepared.fold_rows(fold if part == "oof" else part)


def check_same_data(facts: dict[str, Any], prepared: Prepared, path: Path) -> None:
    """Refuse a network trained on other folds: its predictions would not be out of fold."""
    found = facts["data"]["fingerprint"]
    if found != prepared.fingerprint:
        raise ValueError(
            f"{path}: trained on data {found}, the prepared data is {prepared.fingerprint}; train again"
        )


def tasks(
    stage: str, model: str, part: str, prepared: Prepared
) -> Iterator[tuple[int, Path, NDArray[np.int64]]]:
    """(fold, weights file, rows) in the order in which predictions are written."""
    for fold, path in members(stage, model):
        yield fold, path, rows_of(prepared, part, fold)


def write_lineage(stage: str, model: str) -> None:
    """Write `lineage.json` beside the predictions: the data, the precision, the networks' weights and the files' SHA-256.

    `ensemble.fit` passes it on without opening the hold-out; `ensemble.evaluate` checks the hold-out's files against it.
    """
    folder = folder_of(stage, model, PARTS[0]).parent
    facts = {fold: weights.load_facts(path) for fold, path in members(stage, model)}
    files = sorted(path for part in parts_of(Prepared()) for path in (folder / part).iterdir())
    write_json(
        folder / "lineage.json",
        {
            "data": next(iter(facts.values()))["data"],
            "precision": next(iter(facts.values()))["settings"].get("inference_precision", "32-true"),
            "weights": {str(fold): fact["weights_sha256"] for fold, fact in facts.items()},
            "files": {path.relative_to(folder).as_posix(): sha256(path) for path in files},
        },
    )
