"""From prediction files to cases: one streaming pass over the maps, a few images in memory at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import pandas as pd
from tqdm import tqdm

from ensemble.evidence.evidence import Cases, Evidence
from ensemble.evidence.histograms import LEVELS, Counts, Levels, above, histogram, resized
from ensemble.evidence.mask_average import Maps, MaskEnsemble
from ensemble.evidence.predictions import Predictions
from ensemble.evidence.probability import ensemble_probability, fold_mean
from experiments.settings.decision import Space
from experiments.statistics.arrays import Floats, Ints
from imaging import rle
from imaging.io.threads import cores, ordered_map
from imaging.prepared import Prepared


def member_probabilities(tables: list[pd.DataFrame], space: Space) -> Floats:
    """Each model's probability (N, M) of the sorted images, from its table (image_id, fold, prob)."""
    columns = []
    for table in tables:
        by_image = table.groupby("image_id", sort=True)["prob"]
        columns.append(by_image.apply(lambda prob: fold_mean(prob.to_numpy(), space)).to_numpy(np.float64))
    return np.stack(columns, axis=1)


def maps_of_images(
    predictions: Predictions, ids: Collection[str] | None = None
) -> Iterator[tuple[str, Maps]]:
    """(image id, its maps by model and fold), sorted by id; of some images or all, read one image at a time."""
    wanted = _chosen(predictions, ids)
    rows = {
        name: _rows_by_image(one.table if ids is None else one.table[one.table["image_id"].isin(wanted)])
        for name, one in predictions.segmentation.items()
    }
    for image_id in wanted:
        yield (
            image_id,
            {
                name: {
                    fold: np.asarray(predictions.segmentation[name].maps[row])
                    for fold, row in rows[name][image_id]
                }
                for name in rows
            },
        )


def original_maps(
    predictions: Predictions, masks: MaskEnsemble, prepared: Prepared, ids: Collection[str] | None = None
) -> Iterator[tuple[str, Levels, float]]:
    """(image id, ensemble's map uint8 (H, W) at the original resolution, agreement), sorted by id; of some images or all."""
    shape = _shapes(prepared, _chosen(predictions, ids))
    for image_id, maps in maps_of_images(predictions, ids):
        level, agreement = masks.combine(maps)
        yield image_id, resized(level, shape[image_id]), agreement


def gather(
    predictions: Predictions,
    classifiers: dict[str, float],
    masks: MaskEnsemble,
    prepared: Prepared,
    what: str,
    space: Space = "logit",
) -> Cases:
    """Cases of all predicted images, sorted by id; `prob` is still the raw ensemble probability.

    classifiers: weight of each classifier; {} without any, then the mask models' pooled probabilities take their place, with the
    weights of their maps. space: where they are averaged. `fold` is the fold model that predicted the image, or -1 where several
    did."""
    ids = predictions.ids
    totals, hits = np.zeros((2, len(ids), LEVELS), np.int32)  # no image has 2**31 pixels
    agreement = np.ones(len(ids))
    shape, truth = _shapes(prepared, ids), prepared.truth[prepared.truth.index.isin(ids)]

    def count(item: tuple[str, Maps]) -> tuple[tuple[Counts, Counts], float]:
        image_id, maps = item
        level, agreed = masks.combine(maps)
        return counts(resized(level, shape[image_id]), truth.get(image_id, rle.EMPTY)), agreed

    counted = ordered_map(count, maps_of_images(predictions), cores())
    for i, (found, agreed) in enumerate(tqdm(counted, what, len(ids), disable=None)):
        (totals[i], hits[i]), agreement[i] = found, agreed
    weights = classifiers or masks.weights
    tables = [
        predictions.classification[name] if classifiers else predictions.segmentation[name].table
        for name in weights
    ]
    members = member_probabilities(tables, space)
    raw = ensemble_probability(members, np.array(list(weights.values())), space)
    evidence = Evidence(prob=raw, raw=raw, members=members, above=totals, agreement=agreement)
    places = prepared.rows(ids)
    rows, known = prepared.index.iloc[places], prepared.has_mask[places]
    return Cases(
        evidence=evidence,
        hit=hits,
        fold=_fold_of(predictions),
        patient=rows["patient_id"].to_numpy(),
        image_id=np.array(ids, dtype=object),
        unmasked=None if known.all() else ~known,
    )


def counts(level: Levels, code: str) -> tuple[Counts, Counts]:
    """Pixels (257,) at or above each level of a map: in the whole image, and inside the truth given as a
    code."""
    total = above(histogram(level))
    if code == rle.EMPTY:
        return total, np.zeros(LEVELS, np.int64)
    return total, above(histogram(level, rle.decode(code, level.shape)))


def check_subset(predictions: Predictions, prepared: Prepared, locked: bool) -> None:
    """Refuse predictions of images that have no label, or that are on the wrong side of the hold-out split."""
    ids = predictions.ids
    part = prepared.folds[prepared.folds.index.isin(ids)]
    if len(part) < len(ids):
        missing = min(set(ids).difference(part.index))
        raise ValueError(f"predictions: image {missing} has no label or fold; predict again")
    wrong = part.index[(part == "holdout") != locked]
    if len(wrong):
        side = "was trained on" if locked else "is reserved for the evaluation"
        raise ValueError(
            f"predictions: {len(wrong)} images are on the wrong side of the hold-out split, for example {wrong[0]}, "
            f"which {side}; predict again"
        )


def _chosen(predictions: Predictions, ids: Collection[str] | None) -> list[str]:
    """The requested images among the predicted ones, sorted."""
    if ids is None:
        return predictions.ids
    known = predictions.table["image_id"]
    return sorted(known[known.isin(list(ids))].unique())


def _rows_by_image(table: pd.DataFrame) -> dict[str, list[tuple[int, int]]]:
    """image id -> [(fold, row)], rows as the table's index numbers them."""
    rows: dict[str, list[tuple[int, int]]] = {}
    for row, image_id, fold in zip(table.index, table["image_id"], table["fold"], strict=True):
        rows.setdefault(image_id, []).append((int(fold), row))
    return rows


def _shapes(prepared: Prepared, ids: list[str]) -> dict[str, tuple[int, int]]:
    """image id -> (height, width) of the original."""
    index = prepared.index.iloc[prepared.rows(ids)]
    return dict(
        zip(ids, zip(index["height"].astype(int), index["width"].astype(int), strict=True), strict=True)
    )


def _fold_of(predictions: Predictions) -> Ints:
    grouped = predictions.table.groupby("image_id", sort=True)["fold"]
    return np.where(grouped.size() == 1, grouped.first(), -1).astype(np.int64)
