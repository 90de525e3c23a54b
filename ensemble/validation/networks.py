"""Run a bundle's networks on a data set: predictions in the form of the files, every network on every image, as on the
hold-out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from ensemble.evidence.predictions import MaskMaps, Predictions
from ensemble.inference.predictor import BATCH, Member, Predictor
from imaging import map_levels
from imaging.io import map_archive
from imaging.prepared import Prepared
from segmentation.pooled import pooled_probability


def predict(predictor: Predictor, prepared: Prepared, folder: Path) -> Predictions:
    """Predictions of all prepared images; mask maps are written to FOLDER/<model>.zip."""
    ids = prepared.index["image_id"].astype(object).to_numpy()
    tables: dict[str, list[pd.DataFrame]] = {}
    for member in predictor.classifiers:
        prob = np.concatenate([output[:, 0].numpy() for output in _outputs(member, prepared)])
        tables.setdefault(member.name, []).append(
            pd.DataFrame({"image_id": ids, "fold": member.fold, "prob": prob.astype(np.float64)})
        )
    classification = {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}
    names = dict.fromkeys(member.name for member in predictor.masks)
    masks = {
        name: _maps([one for one in predictor.masks if one.name == name], prepared, folder, ids)
        for name in names
    }
    return Predictions(classification, masks)


def _maps(members: list[Member], prepared: Prepared, folder: Path, ids: NDArray[np.object_]) -> MaskMaps:
    """One model's maps, fold by fold, and their table."""
    table = pd.concat(
        [pd.DataFrame({"image_id": ids, "fold": one.fold}) for one in members], ignore_index=True
    )
    path = folder / f"{members[0].name}.zip"
    pooled: list[float] = []
    levels = (level for member in members for level in _levels(member, prepared, pooled))
    map_archive.write(path, levels, len(table), map_levels.ENCODING)
    return MaskMaps(table.assign(prob=pooled), map_archive.MapArchive(path, map_levels.ENCODING))


def _levels(member: Member, prepared: Prepared, pooled: list[float]) -> Iterator[NDArray[np.uint8]]:
    """Levels (B, s, s) of all images in batches; the images' probabilities go to `pooled`."""
    for output in _outputs(member, prepared):
        pooled += pooled_probability(output).tolist()
        yield map_levels.encode(output[:, 0].numpy())


def _outputs(member: Member, prepared: Prepared) -> Iterator[Tensor]:
    """A network's outputs of all images in batches."""
    count = len(prepared.index)
    starts = range(0, count, BATCH)
    for start in tqdm(starts, f"{member.name} fold {member.fold}", disable=None, unit="batch"):
        yield member([np.asarray(prepared.images[row]) for row in range(start, min(start + BATCH, count))])
