"""Pseudo-labelled studies as `ensemble.pseudo_label` writes them, and the folds of the run whose networks labelled them.

    labels.csv          a table for the source `table`, with fold: the one fold whose network may be trained with the image
    folds.csv           image_id and fold of the run's own images
    pseudo_labels.json  where the labels come from: decision, data, thresholds, counts

A network of fold k has seen the labels of all folds but k. Its pseudo-labels may therefore train only the network of fold k, and
only while the folds are the same; otherwise the labels of validation images would reach the network that they validate.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from imaging.io.files import read_json
from imaging.io.tables import read_csv

TABLE, FOLDS, ORIGIN = "labels.csv", "folds.csv", "pseudo_labels.json"


@dataclass(frozen=True)
class PseudoLabels:
    """train_fold: image id -> fold whose network may see it. folds: the run's image ids -> part. note: for the dataset card."""

    train_fold: dict[str, int]
    folds: dict[str, str]
    note: str


def read(folder: Path) -> PseudoLabels | None:
    """The record in a source's folder; None where there is none."""
    if not (folder / ORIGIN).is_file():
        return None
    origin, table, folds = read_json(folder / ORIGIN), read_csv(folder / TABLE), read_csv(folder / FOLDS)
    return PseudoLabels(
        dict(zip(table["image_id"], table["fold"].astype(int), strict=True)),
        dict(zip(folds["image_id"], folds["fold"], strict=True)),
        f"labels are predictions, not readings: from decision {origin['decision_sha256'][:12]}, probability at least "
        f"{origin['thresholds']['positive']} or at most {origin['thresholds']['negative']}.",
    )


def with_origin(origins: pd.DataFrame, source: str, found: PseudoLabels) -> pd.DataFrame:
    """The origins of all images (index: id; source), with train_fold of this source's and given_fold of the others."""
    own = (origins["source"] == source).to_numpy(bool)
    names = [
        str(image_id).removeprefix(f"{name}-")
        for image_id, name in zip(origins.index, origins["source"], strict=True)
    ]
    given = [
        None if mine else found.folds.get(str(whole), found.folds.get(name))
        for whole, name, mine in zip(origins.index, names, own, strict=True)
    ]
    fold = [found.train_fold.get(name) if mine else None for name, mine in zip(names, own, strict=True)]
    new = {
        "train_fold": pd.array(fold, "Int16"),
        "given_fold": pd.array(given, "string"),
    }
    for column, values in new.items():
        series = pd.Series(values, index=origins.index)
        if column not in origins:
            origins = origins.assign(**{column: series})
            continue
        before = origins[column]
        if (before.notna() & series.notna() & (before != series)).any():
            raise ValueError(
                f"source {source!r}: its pseudo-labels are from a run with different folds than another source's;"
                " label both by one run"
            )
        origins = origins.assign(**{column: before.fillna(series)})
    return origins
