"""Mask probabilities of one model, out of fold and on the hold-out: `python -m segmentation.predict MODEL`.

They are stored as 8-bit levels (imaging.map_levels): a threshold is one of 256, so that searches can be exact. The image's
probability is pooled before that (segmentation.pooled).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from experiments.networks import fold_predictions, inference
from imaging import map_levels
from imaging.data.dataset import Images
from imaging.io import command, map_archive
from imaging.io.files import atomic, write_json
from imaging.prepared import Prepared
from segmentation.architectures import load
from segmentation.metrics import counts, summary
from segmentation.pooled import pooled_probability

Tasks = list[tuple[int, Path, NDArray[np.int64]]]


def batches(tasks: Tasks, prepared: Prepared, pooled: list[float]) -> Iterator[NDArray[np.uint8]]:
    """Levels (B, s, s) of the mask probabilities of every network's rows, in order; the images' probabilities go to `pooled`."""
    for _, path, rows in tasks:
        net, settings, facts = load(path)
        fold_predictions.check_same_data(facts, prepared, path)
        images = Images(
            prepared, rows, settings.image_size, None, seed=0, masks=False, contrast=settings.contrast
        )
        for prob in inference.over(net, images, settings):
            pooled += pooled_probability(prob).tolist()
            yield map_levels.encode(prob[:, 0].numpy())


def predict(model: str, part: str, prepared: Prepared) -> Path:
    """Write maps.zip (M maps uint8 (s, s)) and ids.parquet (image_id, fold, prob), a row for each image and its network."""
    tasks = list(fold_predictions.tasks("segmentation", model, part, prepared))
    names = prepared.index["image_id"].to_numpy()
    ids = pd.concat(
        [pd.DataFrame({"image_id": names[rows], "fold": fold}) for fold, _, rows in tasks], ignore_index=True
    )
    folder = fold_predictions.folder_of("segmentation", model, part)
    pooled: list[float] = []
    with (
        atomic(folder / "maps.zip") as temporary,
        tqdm(total=len(ids), desc=f"{model} {part}", disable=None) as bar,
    ):
        levels = counted(batches(tasks, prepared, pooled), bar)
        map_archive.write(temporary, levels, len(ids), map_levels.ENCODING)
    with atomic(folder / "ids.parquet") as temporary:
        ids.assign(prob=np.array(pooled, np.float64)).to_parquet(temporary, index=False)
    return folder


def counted(arrays: Iterator[NDArray[np.uint8]], bar: tqdm) -> Iterator[NDArray[np.uint8]]:
    """The same batches, with a progress bar."""
    for batch in arrays:
        yield batch
        bar.update(len(batch))


def out_of_fold_summary(folder: Path, prepared: Prepared) -> dict[str, float]:
    """Metrics of the predictions at one half, at the network's size, over the images whose mask is known."""
    maps = map_archive.MapArchive(folder / "maps.zip", map_levels.ENCODING)
    rows = prepared.rows(pd.read_parquet(folder / "ids.parquet")["image_id"])
    truth = Images(prepared, rows, maps.shape[1], None, seed=0, masks=True)
    known = np.flatnonzero(prepared.has_mask[rows]).tolist()
    found = [
        counts(torch.tensor(maps[i])[None, None], truth[i]["mask"][None], map_levels.HALF) for i in known
    ]
    return summary(torch.cat(found))


def main() -> None:
    """The DVC stage predict_segmentation."""
    model = fold_predictions.argument("segmentation")
    prepared = Prepared()
    for part in fold_predictions.parts_of(prepared):
        folder = predict(model, part, prepared)
        if part == "oof":  # the hold-out is for ensemble.evaluate alone
            write_json(f"reports/segmentation/{model}.json", out_of_fold_summary(folder, prepared))
    fold_predictions.write_lineage("segmentation", model)


if __name__ == "__main__":
    command.run(main)
