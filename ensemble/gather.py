"""From prediction files to cases: one streaming pass over the maps, a few images in memory at a time."""

from __future__ import annotations

from collections.abc import Container, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from ensemble.cases import Cases, Evidence
from ensemble.committee import Maps, MaskCommittee
from ensemble.histograms import LEVELS, Counts, Levels, above, histogram, to_original
from ensemble.predictions import Predictions
from ensemble.probability import committee as committee_probability
from experiments.decision_settings import Space
from imaging import rle
from imaging.parallel import cores, ordered_map
from imaging.prepared import Prepared

Floats = NDArray[np.float64]


def fold_mean(prob: Floats, space: Space) -> float:
    """One model's probability from its fold models'; of one fold, itself exactly."""
    values = np.asarray(prob, np.float64)
    return float(committee_probability(values[None], np.full(len(values), 1 / len(values)), space)[0])


def member_probabilities(predictions: Predictions, names: list[str], space: Space) -> Floats:
    """Each classifier's probability (N, M) of the sorted images, in the order of `names`."""
    columns = []
    for name in names:
        by_image = predictions.classification[name].groupby("image_id", sort=True)["prob"]
        columns.append(by_image.apply(lambda prob: fold_mean(prob.to_numpy(), space)).to_numpy(np.float64))
    return np.stack(columns, axis=1)


def maps_of_images(predictions: Predictions, ids: Container[str] | None = None) -> Iterator[tuple[str, Maps]]:
    """(image id, its maps by model and fold), sorted by id; of some images or all, read one image at a time."""
    wanted = predictions.ids if ids is None else [image_id for image_id in predictions.ids if image_id in ids]
    rows = {name: _rows_by_image(masks.table) for name, masks in predictions.segmentation.items()}
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
    predictions: Predictions, committee: MaskCommittee, prepared: Prepared, ids: Container[str] | None = None
) -> Iterator[tuple[str, Levels, float]]:
    """(image id, committee's map uint8 (H, W) at the original resolution, agreement), sorted by id; of some images or all."""
    shape = _shapes(prepared)
    for image_id, maps in maps_of_images(predictions, ids):
        level, agreement = committee.combine(maps)
        yield image_id, to_original(level, shape[image_id]), agreement


def gather(
    predictions: Predictions,
    classifiers: dict[str, float],
    committee: MaskCommittee,
    prepared: Prepared,
    what: str,
    space: Space = "logit",
) -> Cases:
    """Cases of all predicted images, sorted by id; `prob` is still the raw committee probability.

    classifiers: weight of each classifier; space: where they are averaged. `fold` is the fold model that predicted
    the image, or -1 where several did."""
    ids = predictions.ids
    members = member_probabilities(predictions, list(classifiers), space)
    raw = committee_probability(members, np.array(list(classifiers.values())), space)
    totals, hits = np.zeros((2, len(ids), LEVELS), np.int32)  # no image has 2**31 pixels
    agreement = np.ones(len(ids))
    shape, truth = _shapes(prepared), prepared.truth

    def look(item: tuple[str, Maps]) -> tuple[tuple[Counts, Counts], float]:
        image_id, maps = item
        level, agreed = committee.combine(maps)
        return counts(to_original(level, shape[image_id]), truth[image_id]), agreed

    looks = ordered_map(look, maps_of_images(predictions), cores())
    for i, (found, agreed) in enumerate(tqdm(looks, what, len(ids), disable=None)):
        (totals[i], hits[i]), agreement[i] = found, agreed
    evidence = Evidence(prob=raw, raw=raw, members=members, above=totals, agreement=agreement)
    rows = prepared.index.iloc[prepared.rows(ids)]
    return Cases(
        evidence=evidence,
        hit=hits,
        fold=_fold_of(predictions),
        patient=rows["patient_id"].to_numpy(),
        image_id=np.array(ids, dtype=object),
    )


def counts(level: Levels, code: str) -> tuple[Counts, Counts]:
    """Pixels (257,) at or above each level of a map: in the whole image, and inside the truth given as a
    code."""
    total = above(histogram(level))
    if code == rle.EMPTY:
        return total, np.zeros(LEVELS, np.int64)
    return total, above(histogram(level, rle.decode(code, level.shape)))


def check_part(predictions: Predictions, prepared: Prepared, locked: bool) -> None:
    """Refuse predictions of images that have no label, or that stand on the wrong side of the lock."""
    part = prepared.folds.reindex(predictions.ids)
    if part.isna().any():
        raise ValueError(
            f"predictions: image {part.index[part.isna()][0]} has no label or fold; predict again"
        )
    wrong = part.index[(part == "holdout") != locked]
    if len(wrong):
        side = "was trained on" if locked else "is locked away for the evaluation"
        raise ValueError(
            f"predictions: {len(wrong)} images stand on the wrong side, {wrong[0]} {side}; predict again"
        )


def _rows_by_image(table: pd.DataFrame) -> dict[str, list[tuple[int, int]]]:
    """image id -> [(fold, row)]."""
    rows: dict[str, list[tuple[int, int]]] = {}
    for row, (image_id, fold) in enumerate(zip(table["image_id"], table["fold"], strict=True)):
        rows.setdefault(image_id, []).append((int(fold), row))
    return rows


def _shapes(prepared: Prepared) -> dict[str, tuple[int, int]]:
    """image id -> (height, width) of the original."""
    index = prepared.index
    return {
        name: (int(h), int(w))
        for name, h, w in zip(index["image_id"], index["height"], index["width"], strict=True)
    }


def _fold_of(predictions: Predictions) -> NDArray[np.int64]:
    table = next(iter(predictions.classification.values()))
    grouped = table.groupby("image_id", sort=True)["fold"]
    return np.where(grouped.size() == 1, grouped.first(), -1).astype(np.int64)
