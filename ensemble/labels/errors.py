"""Suspicious labels from out-of-fold probabilities: confident learning for two classes.

Northcutt, Jiang, Chuang 2021, *Confident Learning* (J. Artif. Intell. Res. 70), the estimator of cleanlab: self-confidence, the
probability of the given label, minus the mean self-confidence of that class, so that a class with weak probabilities does not
fill the queue. cleanlab itself is not a dependency: with two classes its ranking is these lines.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from experiments.statistics.arrays import Bools, Floats


def thresholds(label: Bools, prob: Floats) -> tuple[float, float]:
    """Mean self-confidence of the negative and of the positive images; a ValueError where one class is missing."""
    if label.all() or not label.any():
        raise ValueError("label review needs images of both labels")
    return float(1 - prob[~label].mean()), float(prob[label].mean())


def queue(table: pd.DataFrame) -> pd.DataFrame:
    """Images, the most suspicious label first: rank, image_id, patient_id, label, prob, self_confidence, margin, likely_error.

    table: image_id, patient_id, label (0 or 1), prob (predicted without the image). margin: self-confidence minus that of the
    class; likely_error: the other class's probability reaches that class's mean self-confidence (the confident joint).
    """
    label, prob = table["label"].to_numpy(bool), table["prob"].to_numpy(np.float64)
    negative, positive = thresholds(label, prob)
    confidence = np.where(label, prob, 1 - prob)
    margin = confidence - np.where(label, positive, negative)
    error = np.where(label, (1 - prob >= negative) & (prob < 0.5), (prob >= positive) & (prob > 0.5))
    made = table[["image_id", "patient_id", "label", "prob"]].assign(
        self_confidence=confidence, margin=margin, likely_error=error
    )
    made = made.sort_values(["margin", "image_id"], kind="stable", ignore_index=True)
    return made.assign(rank=np.arange(1, len(made) + 1))[["rank", *made.columns]]


def planted(table: pd.DataFrame, share: float, seed: int, first: int = 100) -> tuple[int, int, float]:
    """Flip a share of the labels and rank: flipped among the first images of the queue, flipped in all, expected at random."""
    random = np.random.Generator(np.random.PCG64(seed))
    flipped = np.zeros(len(table), bool)
    flipped[random.choice(len(table), max(round(share * len(table)), 1), replace=False)] = True
    wrong = set(table["image_id"][flipped])
    found = queue(table.assign(label=np.where(flipped, 1 - table["label"], table["label"])))
    hits = found["image_id"].head(first).isin(wrong).sum()
    return int(hits), int(flipped.sum()), float(flipped.mean() * min(first, len(table)))
