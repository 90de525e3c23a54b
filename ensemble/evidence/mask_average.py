"""Average mask maps: the mean over fold models, then over models, at the network's size.

Maps are levels (imaging.map_levels). Three means: of probabilities; of logits; and `centred`, of logits from which each fold
model's own best level is subtracted first (9th place of SIIM-ACR, there in probabilities), since networks trained in the same
way differ in the level that they give to the same edge. An ensemble of one is its member exactly.

A mean of probabilities decodes each map by a table and encodes the mean once; it is off by at most half a level of each member
and of the mean. A mean of logits is a mean of levels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ensemble.evidence.histograms import Levels, resized
from imaging import map_levels
from imaging.io.config import Settings

Maps = Mapping[str, Mapping[int, Levels]]
"""Maps uint8 (s, s) of one image by model and fold."""

_LEVEL: NDArray[np.float32] = np.arange(256, dtype=np.float32)


class MaskEnsemble(Settings):
    """Weights of the mask models, and how their maps are averaged."""

    average: Literal["probability", "logit", "centred"] = "probability"
    """What is averaged."""
    weights: dict[str, float]
    """Weight of each model; they add up to 1. None: there is no segmentation, and every map is empty."""
    best_levels: dict[str, dict[int, int]] = Field(default_factory=dict)
    """For each model and fold the best level on its out-of-fold images; `centred` needs them."""

    @model_validator(mode="after")
    def _whole(self) -> MaskEnsemble:
        if not self.weights:
            return self
        if min(self.weights.values()) < 0 or abs(sum(self.weights.values()) - 1) > 1e-6:
            raise ValueError(f"weights {self.weights} must not be negative and add up to 1")
        missing = sorted(set(self.weights) - set(self.best_levels)) if self.average == "centred" else []
        if missing:
            raise ValueError(f"average 'centred' needs best_levels of {', '.join(missing)}")
        return self

    @property
    def centre(self) -> float:
        """Mean of all best levels: where a centred map keeps its threshold."""
        return float(np.mean([level for folds in self.best_levels.values() for level in folds.values()]))

    def combine(self, maps: Maps) -> tuple[Levels, float]:
        """One map uint8 (S, S) at the largest member's size, and the models' agreement in [0, 1].

        Any subset of the folds may be given (out-of-fold predictions have one), but every model must be
        there."""
        if not self.weights:
            return np.zeros((1, 1), np.uint8), 1.0
        missing = sorted(set(self.weights) - set(maps))
        if missing:
            raise ValueError(
                f"no maps of {', '.join(missing)}; the decision was fitted with {', '.join(self.weights)}"
            )
        side = max(level.shape[0] for name in self.weights for level in maps[name].values())
        means = {name: self._mean_over_folds(name, maps[name], side) for name in sorted(self.weights)}
        total = sum(np.float32(self.weights[name]) * mean for name, mean in means.items())
        return self._back(np.asarray(total)), _agreement([self._back(mean) for mean in means.values()])

    def _mean_over_folds(self, name: str, folds: Mapping[int, Levels], side: int) -> NDArray[np.float32]:
        """Mean (S, S) over one model's fold maps, on the scale that is averaged."""
        if not folds:
            raise ValueError(f"no maps of {name}")
        total = np.zeros((side, side), np.float32)
        for fold in sorted(folds):
            total += cv2.LUT(resized(folds[fold], (side, side)), self._scale(name, fold))
        return total / np.float32(len(folds))

    def _scale(self, name: str, fold: int) -> NDArray[np.float32]:
        """The value of each of the 256 levels on that scale."""
        if self.average == "probability":
            return map_levels.COMPLEMENT
        if self.average == "centred":
            if fold not in self.best_levels[name]:
                raise ValueError(
                    f"no best level of {name} fold {fold}; known folds: {sorted(self.best_levels[name])}"
                )
            return _LEVEL - np.float32(self.best_levels[name][fold] - self.centre)
        return _LEVEL

    def _back(self, mean: NDArray[np.float32]) -> Levels:
        """From the scale that is averaged to levels uint8."""
        if self.average == "probability":
            return map_levels.encode_complement(mean)
        return np.clip(np.rint(mean), 0, map_levels.TOP).astype(np.uint8)


def _agreement(models: list[Levels]) -> float:
    """Soft intersection over union of the models' probabilities: Σ min / Σ max; 1 for one model, or where all maps
    are empty."""
    if len(models) == 1:
        return 1.0
    least, most = (
        float(np.bincount(side.reduce(models).ravel(), minlength=256) @ map_levels.PROBABILITY)
        for side in (np.minimum, np.maximum)
    )
    return least / most if most else 1.0


def equal_weights(names: list[str]) -> dict[str, float]:
    """The same weight for each model."""
    return {name: 1 / len(names) for name in names}
