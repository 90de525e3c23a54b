"""Image probabilities of one model, out of fold and on the hold-out: `python -m classification.predict MODEL`."""

from __future__ import annotations

import numpy as np
import pandas as pd
from tqdm import tqdm

from classification.metrics import summary
from classification.model import load
from experiments.networks import fold_predictions, inference
from imaging.data.dataset import Images
from imaging.io import command
from imaging.io.files import atomic, write_json
from imaging.prepared import Prepared


def predict(model: str, part: str, prepared: Prepared) -> pd.DataFrame:
    """Columns image_id, fold, prob: one row for each image and network that predicts it."""
    tables = []
    for fold, path, rows in tqdm(
        list(fold_predictions.tasks("classification", model, part, prepared)),
        desc=f"{model} {part}",
        disable=None,
    ):
        net, settings, facts = load(path)
        fold_predictions.check_same_data(facts, prepared, path)
        images = Images(
            prepared, rows, settings.image_size, None, seed=0, masks=False, contrast=settings.contrast
        )
        prob = np.concatenate([batch[:, 0].numpy() for batch in inference.over(net, images, settings)])
        tables.append(
            pd.DataFrame(
                {"image_id": prepared.index["image_id"].iloc[rows].to_numpy(), "fold": fold, "prob": prob}
            )
        )
    return pd.concat(tables, ignore_index=True)


def main() -> None:
    """The DVC stage predict_classification."""
    model = fold_predictions.argument("classification")
    prepared = Prepared()
    for part in fold_predictions.parts_of(prepared):
        table = predict(model, part, prepared)
        with atomic(
            fold_predictions.folder_of("classification", model, part) / "predictions.parquet"
        ) as temporary:
            table.to_parquet(temporary, index=False)
        if part == "oof":  # the hold-out is for ensemble.evaluate alone
            label = prepared.index["label"].iloc[prepared.rows(table["image_id"])]
            write_json(f"reports/classification/{model}.json", summary(table["prob"], label))
    fold_predictions.write_lineage("classification", model)


if __name__ == "__main__":
    command.run(main)
