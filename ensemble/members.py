"""Fitting the committee of mask models on out-of-fold maps: their weights, and each fold's own best level.

Only positive images count here, at the network's size, each with the same weight whatever its lesion's area.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ensemble.committee import Maps, MaskCommittee, equal_weights
from ensemble.gather import maps_of_images
from ensemble.histograms import Levels, above, histogram
from ensemble.predictions import Predictions
from ensemble.probability import on_simplex
from ensemble.rules.base import LEVEL_RADIUS
from experiments.decision_settings import EnsembleSettings
from experiments.plateau import choose
from imaging.prepared import Prepared

Floats = NDArray[np.float64]


def fit(predictions: Predictions, prepared: Prepared, settings: EnsembleSettings) -> MaskCommittee:
    """The committee of mask models as the settings ask for it; passes over the maps only where something is
    learned."""
    names = list(predictions.segmentation)
    weights = equal_weights(names)
    if settings.weights == "learned" and len(names) > 1:
        quadratic = brier_terms(positives(predictions, prepared), names)
        weights = dict(zip(names, map(float, learn_weights(*quadratic, settings.shrinkage)), strict=True))
    levels = best_levels(positives(predictions, prepared), names) if settings.average == "centred" else {}
    return MaskCommittee(average=settings.average, weights=weights, best_levels=levels)


def positives(predictions: Predictions, prepared: Prepared) -> Iterator[tuple[Maps, NDArray[np.bool_]]]:
    """(maps, truth bool (S, S) at the largest map's size) of the positive images; what vanishes at that
    size is left out."""
    side = max(masks.maps.shape[1] for masks in predictions.segmentation.values())
    labelled = prepared.index.set_index("image_id")["label"]
    for image_id, maps in tqdm(maps_of_images(predictions), "committee", len(predictions.ids), disable=None):
        if labelled[image_id] == 1:
            mask = prepared.mask(int(prepared.rows([image_id])[0])) * np.uint8(255)
            truth = cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA) >= 128
            if truth.any():
                yield maps, truth


def brier_terms(
    cases: Iterator[tuple[Maps, NDArray[np.bool_]]], names: list[str]
) -> tuple[Floats, Floats, float]:
    """A (M, M), b (M,), c of the squared error w·A·w − 2·b·w + c between weighted mean and truth.

    Each image's error is divided by its lesion's area, so that it counts the same as a large one.
    """
    a, b, c, images = np.zeros((len(names), len(names))), np.zeros(len(names)), 0.0, 0
    for maps, truth in cases:
        stack = (
            np.stack([_fold_mean(maps[name], truth.shape[0]).ravel() for name in names]).astype(np.float64)
            / 255
        )
        area = truth.sum()
        a += stack @ stack.T / area
        b += stack[:, truth.ravel()].sum(axis=1) / area
        c, images = c + 1.0, images + 1
    return a / max(images, 1), b / max(images, 1), c / max(images, 1)


def learn_weights(a: Floats, b: Floats, c: float, shrinkage: float) -> Floats:
    """Weights (M,) on the simplex of least squared error, pulled towards equal ones as the classifiers'
    are."""
    count = len(b)
    equal = np.full(count, 1 / count)

    def error(w: Floats) -> float:
        return float(w @ a @ w - 2 * b @ w + c)

    base = max(error(equal), 1e-12)
    return on_simplex(lambda w: error(w) / base + shrinkage * count * float(np.sum((w - equal) ** 2)), count)


def best_levels(
    cases: Iterator[tuple[Maps, NDArray[np.bool_]]], names: list[str]
) -> dict[str, dict[int, int]]:
    """For each model and fold the level of highest mean Dice over its positive images, from the plateau."""
    curves: dict[tuple[str, int], list[Floats]] = {}
    for maps, truth in cases:
        for name in names:
            for fold, level in maps[name].items():
                curves.setdefault((name, fold), []).append(
                    _dice_curve(_resized(level, truth.shape[0]), truth)
                )
    found: dict[str, dict[int, int]] = {name: {} for name in names}
    for (name, fold), dice in sorted(curves.items()):
        found[name][fold] = choose(np.mean(dice, axis=0)[1:256], (LEVEL_RADIUS,))[0] + 1
    return found


def _dice_curve(level: Levels, truth: NDArray[np.bool_]) -> Floats:
    """Dice (257,) at every threshold of one positive image."""
    total, hit = above(histogram(level)), above(histogram(level, truth))
    return 2 * hit / (total + hit[0])


def _fold_mean(folds: object, side: int) -> Floats:
    return np.mean([_resized(level, side) for level in folds.values()], axis=0)  # type: ignore[attr-defined]


def _resized(level: Levels, side: int) -> Levels:
    if level.shape == (side, side):
        return level
    return np.asarray(cv2.resize(level, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)
