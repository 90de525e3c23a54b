"""The two stages' predictions on disk: checked, and opened without being read whole.

predictions/classification/<model>/<part>/predictions.parquet: image_id, fold, prob.
predictions/segmentation/<model>/<part>/: ids.parquet (image_id, fold, prob: the image's probability, segmentation.pooled), whose
row j belongs to map j of maps.zip, uint8 (s, s), in the levels of imaging.map_levels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from imaging import map_levels
from imaging.io.config import read_yaml
from imaging.io.map_archive import MapArchive

FOLDER = "predictions"
STAGES = ("classification", "segmentation")
COLUMNS = ["image_id", "fold", "prob"]
"""Columns of both stages' tables."""


@dataclass(frozen=True)
class MaskMaps:
    """Mask probabilities of one model: table (image_id, fold, prob) and maps uint8 (n, s, s), read on request."""

    table: pd.DataFrame
    maps: MapArchive


@dataclass(frozen=True)
class Predictions:
    """All models' predictions for the same images: classifiers' tables (image_id, fold, prob), and mask
    maps, by model. Either may be empty, not both."""

    classification: dict[str, pd.DataFrame]
    segmentation: dict[str, MaskMaps]

    @property
    def table(self) -> pd.DataFrame:
        """Columns image_id and fold of the first model, which all models share."""
        tables = [*self.classification.values(), *(one.table for one in self.segmentation.values())]
        return tables[0][["image_id", "fold"]]

    @property
    def ids(self) -> list[str]:
        """Image ids, sorted."""
        return sorted(self.table["image_id"].unique())


def model_names(stage: str, params: str | Path = "params.yaml") -> list[str]:
    """Names of a stage's models from the params file, none where the other stage decides alone; ValueError when they are not a
    list of different names, or both stages have none."""
    content = read_yaml(params)
    names = content.get(stage, {}).get("models")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{params}: `{stage}.models` must be a list of names, found {names!r}")
    if not any(content.get(one, {}).get("models") for one in STAGES):
        raise ValueError(
            f"{params}: `classification.models` and `segmentation.models` are both []; name a model"
        )
    if len(set(names)) < len(names):
        raise ValueError(f"{params}: `{stage}.models` names a model twice: {', '.join(names)}")
    return names


def read(
    part: str, classifiers: list[str], segmenters: list[str], folder: str | Path = FOLDER
) -> Predictions:
    """Open all predictions of one part; ValueError unless every model predicts the same images by the same
    folds."""
    root = Path(folder)
    images = {name: read_images(root / STAGES[0] / name / part) for name in classifiers}
    masks = {name: read_maps(root / STAGES[1] / name / part) for name in segmenters}
    tables = {f"{STAGES[0]}/{name}": table for name, table in images.items()}
    tables |= {f"{STAGES[1]}/{name}": maps.table for name, maps in masks.items()}
    _check_same(tables, root)
    return Predictions(images, masks)


def read_images(folder: Path) -> pd.DataFrame:
    """Read one classifier's probabilities."""
    path = folder / "predictions.parquet"
    return _table(path)


def read_maps(folder: Path) -> MaskMaps:
    """Open one segmentation model's maps."""
    path = folder / "maps.zip"
    table = _table(folder / "ids.parquet")
    try:
        maps = MapArchive(path, map_levels.ENCODING)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file; run `dvc repro predict_segmentation`") from error
    if maps.shape[1] != maps.shape[2] or len(maps) != len(table):
        raise ValueError(f"{path}: expected {len(table)} square maps as ids.parquet says, found {maps.shape}")
    return MaskMaps(table, maps)


def _table(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file; run `dvc repro` for the predict stages") from error
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing or not len(table):
        fault = f"column {missing[0]} is missing" if missing else "no rows"
        raise ValueError(f"{path}: {fault}; run `dvc repro` for the predict stages")
    twice = table.duplicated(["image_id", "fold"])
    if twice.any():
        again = table[twice].iloc[0]
        raise ValueError(f"{path}: image {again['image_id']} is predicted twice by fold {again['fold']}")
    prob = table["prob"].to_numpy(np.float64)
    bad = ~((prob >= 0) & (prob <= 1))
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"{path}: probability {prob[row]} of image {table['image_id'][row]} is not between 0 and 1"
        )
    return table[COLUMNS].assign(prob=prob).reset_index(drop=True)


def _check_same(tables: dict[str, pd.DataFrame], root: Path) -> None:
    """Every model predicts the same images, each by the same folds."""
    pairs = {name: set(zip(t["image_id"], t["fold"], strict=True)) for name, t in tables.items()}
    first, wanted = next(iter(pairs.items()))
    for name, found in pairs.items():
        if found != wanted:
            image, fold = sorted(found ^ wanted)[0]
            raise ValueError(
                f"{root}: {first} and {name} predict different images ({len(found ^ wanted)} differ, for example "
                f"image {image} of fold {fold}); run the predict stages again for the same folds"
            )
