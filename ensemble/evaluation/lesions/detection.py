"""Lesions found one by one: connected parts of the masks, matched by overlap, and the free-response curve (FROC)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.statistics.arrays import Bools, Floats
from imaging.map_levels import HALF, PROBABILITY

LEAST_IOU = 0.1
"""Minimum intersection over union at which a part of a predicted mask counts as finding a lesion."""
RATES = (0.125, 0.25, 0.5, 1.0)
"""False positives per image at which the sensitivity is given."""
CANDIDATE_LEVEL = HALF
"""Candidates of the FROC are the connected parts of the map at one half."""


@dataclass(frozen=True)
class Match:
    """Connected parts of one image's masks: found: (L,) for each true lesion the best score of the parts that find it, -inf
    where none does; false: (F,) scores of the parts that find none."""

    found: Floats
    false: Floats

    @property
    def hits(self) -> int:
        """Number of lesions found."""
        return int(np.count_nonzero(self.found > -np.inf))


def parts(mask: Bools) -> tuple[int, NDArray[np.int32]]:
    """Number of connected parts (8 neighbours) of a mask, and each pixel's part from 1 on, 0 outside."""
    count, numbered = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return count - 1, np.asarray(numbered, np.int32)


def match(predicted: Bools, true: Bools, level: NDArray[np.uint8] | None = None) -> Match:
    """Match the connected parts of two masks bool (H, W); a part's score is its highest probability, 1 without a map."""
    (lesions, of_true), (candidates, of_predicted) = parts(true), parts(predicted)
    score = np.ones(candidates)
    if level is not None and candidates:
        highest = np.zeros(candidates + 1, np.uint8)
        np.maximum.at(highest, of_predicted[predicted], level[predicted])
        score = PROBABILITY[highest[1:]]
    found, useful = np.full(lesions, -np.inf), np.zeros(candidates, bool)
    if lesions and candidates:
        table = np.zeros((lesions + 1, candidates + 1), np.int64)
        either = predicted | true
        np.add.at(table, (of_true[either], of_predicted[either]), 1)
        both = table[1:, 1:]
        union = table.sum(axis=1)[1:, None] + table.sum(axis=0)[None, 1:] - both
        hit = both >= LEAST_IOU * union
        found = np.where(hit, score, -np.inf).max(axis=1)
        useful = hit.any(axis=0)
    return Match(found, score[~useful])


def froc(matches: list[Match]) -> pd.DataFrame:
    """The free-response curve: threshold, false positives per image, sensitivity, from the strictest threshold on."""
    found = np.concatenate([one.found for one in matches])
    false = np.concatenate([one.false for one in matches])
    scores = np.concatenate([found[found > -np.inf], false])
    threshold = np.unique(scores)[::-1]
    if not len(found):
        return pd.DataFrame({"threshold": threshold, "false_positives": np.nan, "sensitivity": np.nan})
    alarms = len(false) - np.searchsorted(np.sort(false), threshold, "left")
    hits = len(found) - np.searchsorted(np.sort(found), threshold, "left")
    return pd.DataFrame(
        {"threshold": threshold, "false_positives": alarms / len(matches), "sensitivity": hits / len(found)}
    )


def threshold_at(curve: pd.DataFrame, rate: float) -> float:
    """The lowest threshold of a FROC with at most `rate` false positives per image; +inf where there is none."""
    allowed = curve[curve["false_positives"] <= rate + 1e-12]
    return float(allowed["threshold"].min()) if len(allowed) else np.inf
