"""Fit the ensemble of mask models on out-of-fold maps: model weights, and the best level of each fold.

Only positive images count, at the network's size, each with equal weight whatever the area of its lesion. One pass over the
maps leaves a few numbers per image (`MapStatistics`), from which the ensemble of any subset can be fitted, as nesting requires.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from tqdm import tqdm

from ensemble.evidence.gather import maps_of_images
from ensemble.evidence.histograms import Levels, above, histogram, resized
from ensemble.evidence.mask_average import Maps, MaskEnsemble, equal_weights
from ensemble.evidence.predictions import Predictions
from ensemble.evidence.probability import on_simplex
from ensemble.rules.base import LEVEL_RADIUS
from experiments.settings.decision import EnsembleSettings
from experiments.statistics.arrays import Bools, Floats
from experiments.statistics.search_surface import choose
from imaging.map_levels import PROBABILITY
from imaging.prepared import Prepared


@dataclass(frozen=True)
class MapStatistics:
    """Statistics of one positive image for M models: its part of w·A·w − 2·b·w + 1, the squared error of the weighted
    mean over the lesion's area; and the Dice (257,) at every level of each model and fold."""

    image_id: str
    a: Floats
    b: Floats
    dice: dict[tuple[str, int], Floats]


def needs_maps(names: list[str], settings: EnsembleSettings) -> bool:
    """Whether anything about the ensemble is learned from maps."""
    return settings.average == "centred" or _learned(names, settings)


def _learned(names: list[str], settings: EnsembleSettings) -> bool:
    return settings.mask_weights is None and settings.weights == "learned" and len(names) > 1


def map_statistics(predictions: Predictions, prepared: Prepared) -> list[MapStatistics]:
    """One pass over the maps of the positive images; a lesion that vanishes at the network's size is left out."""
    names = list(predictions.segmentation)
    return [
        statistics_of(image_id, maps, truth, names)
        for image_id, maps, truth in positives(predictions, prepared)
    ]


def fit(
    statistics: list[MapStatistics], predictions: Predictions, settings: EnsembleSettings
) -> MaskEnsemble:
    """The ensemble that the settings ask for, learned from these images alone; predictions: which models and folds."""
    names = list(predictions.segmentation)
    weights = settings.mask_weights or equal_weights(names)
    if _learned(names, settings) and statistics:
        a, b = np.mean([one.a for one in statistics], axis=0), np.mean([one.b for one in statistics], axis=0)
        weights = dict(zip(names, map(float, learn_weights(a, b, 1.0, settings.shrinkage)), strict=True))
    folds = {
        name: sorted(map(int, masks.table["fold"].unique()))
        for name, masks in predictions.segmentation.items()
    }
    levels = best_levels(statistics, folds) if settings.average == "centred" else {}
    return MaskEnsemble(average=settings.average, weights=weights, best_levels=levels)


def positives(predictions: Predictions, prepared: Prepared) -> Iterator[tuple[str, Maps, Bools]]:
    """(image id, maps, truth bool (S, S) at the largest map's size) of the positive images that have any truth there."""
    side = max(masks.maps.shape[1] for masks in predictions.segmentation.values())
    known = prepared.index["label"].where(prepared.has_mask)
    labelled = dict(zip(prepared.index["image_id"], known.fillna(0), strict=True))
    for image_id, maps in tqdm(maps_of_images(predictions), "ensemble", len(predictions.ids), disable=None):
        if labelled[image_id] == 1:
            mask = prepared.mask(int(prepared.rows([image_id])[0])) * np.uint8(255)
            truth = cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA) >= 128
            if truth.any():
                yield image_id, maps, truth


def statistics_of(image_id: str, maps: Maps, truth: Bools, names: list[str]) -> MapStatistics:
    """See MapStatistics; the error is divided by the lesion's area, so that a small one counts the same as a large one."""
    side, area = truth.shape[0], int(truth.sum())
    maps_at_side = {
        (name, fold): resized(level, (side, side)) for name in names for fold, level in maps[name].items()
    }
    means = [
        np.mean([PROBABILITY[maps_at_side[name, fold]] for fold in maps[name]], axis=0).ravel()
        for name in names
    ]
    stack = np.stack(means).astype(np.float64)
    dice = {key: _dice_curve(level, truth) for key, level in maps_at_side.items()}
    return MapStatistics(image_id, stack @ stack.T / area, stack[:, truth.ravel()].sum(axis=1) / area, dice)


def learn_weights(a: Floats, b: Floats, c: float, shrinkage: float) -> Floats:
    """Weights (M,) on the simplex of least squared error w·A·w − 2·b·w + c, pulled towards equal ones as the
    classifiers' are."""
    count = len(b)
    equal = np.full(count, 1 / count)

    def error(w: Floats) -> float:
        return float(w @ a @ w - 2 * b @ w + c)

    base = max(error(equal), 1e-12)
    return on_simplex(lambda w: error(w) / base + shrinkage * count * float(np.sum((w - equal) ** 2)), count)


def best_levels(statistics: list[MapStatistics], folds: dict[str, list[int]]) -> dict[str, dict[int, int]]:
    """For each model and fold the level of highest mean Dice over its positive images, from the smoothed search surface.

    A fold without a positive image takes the level fitted to all folds of its model together."""
    return {name: {fold: _best_level(statistics, name, fold) for fold in of} for name, of in folds.items()}


def _best_level(statistics: list[MapStatistics], name: str, fold: int) -> int:
    own = [one.dice[name, fold] for one in statistics if (name, fold) in one.dice]
    curves = own or [dice for one in statistics for key, dice in one.dice.items() if key[0] == name]
    return choose(np.mean(curves or [np.ones(257)], axis=0)[1:256], (LEVEL_RADIUS,))[0] + 1


def _dice_curve(level: Levels, truth: Bools) -> Floats:
    """Dice (257,) at every threshold of one positive image."""
    total, hit = above(histogram(level)), above(histogram(level, truth))
    return 2 * hit / (total + hit[0])
