"""Metrics of image probabilities, before any decision is made from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score


def summary(prob: ArrayLike, label: ArrayLike) -> dict[str, float]:
    """AUROC, average precision, Brier score and log loss of probabilities (N,) against labels 0/1 (N,).

    With a single class, AUROC and average precision are undefined and left out.
    """
    p, y = np.asarray(prob, np.float64), np.asarray(label, np.int64)
    values = {"brier": float(brier_score_loss(y, p)), "log_loss": float(log_loss(y, p, labels=[0, 1]))}
    if len(np.unique(y)) == 2:
        values |= {
            "auroc": float(roc_auc_score(y, p)),
            "average_precision": float(average_precision_score(y, p)),
        }
    return values
