"""Inputs of a rule (`Evidence`) and the truth it is scored against (`Cases`): tables of N images, no pixels.

Scores are sums of whole numbers: a Dice of 1 is `UNIT`. Whole numbers add up to the same total in any
order, so a search agrees with brute force to the last bit and a rule fitted on the same images is the same
file, however they are sorted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.evidence.histograms import LEVELS, NOTHING, Counts
from experiments.statistics.arrays import Bools, Floats, Ints
from experiments.statistics.threshold_search import UNIT

_BLOCK = 1024
"""Number of images whose tables are held at once."""


@dataclass(frozen=True)
class Evidence:
    """What is known of N images without their truth.

    prob: (N,) calibrated probability of a pneumothorax; raw: (N,) the classifier ensemble's own, not
    calibrated; members: (N, M) each classifier's own; above: (N, 257) pixels of the mask map at or above
    each level, at the original resolution; agreement: (N,) soft overlap in [0, 1] of the mask models.
    Without classifiers the mask models' pooled probabilities take their place (segmentation.pooled)."""

    prob: Floats
    raw: Floats
    members: Floats
    above: Counts
    agreement: Floats

    def __post_init__(self) -> None:
        n = len(self.prob)
        shapes = {
            "raw": (n,),
            "members": (n, self.members.shape[-1]),
            "above": (n, LEVELS),
            "agreement": (n,),
        }
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"evidence of {n} images: `{name}` has shape {getattr(self, name).shape}, not {shape}"
                )

    def __len__(self) -> int:
        return len(self.prob)

    @property
    def pixels(self) -> Counts:
        """Pixels of each image."""
        return self.above[:, 0]

    def area(self, level: int, reference: int) -> Ints:
        """Whole pixels at or above a level, as if the image had `reference` pixels (exact for images of
        that size)."""
        return self.above[:, level].astype(np.int64) * reference // self.pixels

    def by_blocks(self, function: Callable[[Evidence], NDArray[Any]]) -> NDArray[Any]:
        """Apply a function to blocks of a thousand images, so that its own tables stay small; (N,)."""
        blocks = range(0, max(len(self), 1), _BLOCK)
        return np.concatenate([function(self.take(slice(start, start + _BLOCK))) for start in blocks])

    def take(self, rows: Any) -> Evidence:
        """The evidence of some images."""
        names = ("prob", "raw", "members", "above", "agreement")
        return Evidence(**{name: getattr(self, name)[rows] for name in names})

    def with_prob(self, prob: Floats) -> Evidence:
        """The same evidence under another probability."""
        return replace(self, prob=prob)


@dataclass(frozen=True)
class Cases:
    """Evidence of N labelled images with their truth.

    hit: (N, 257) pixels inside the truth at or above each level (hit[:, 0] is the truth's area); fold: (N,)
    which fold model predicted it; patient: (N,) whose image it is; image_id: (N,); unmasked: (N,) positives whose
    mask is not known, for which `hit` and every Dice are meaningless (None: there are none)."""

    evidence: Evidence
    hit: Counts
    fold: Ints
    patient: NDArray[Any]
    image_id: NDArray[Any]
    unmasked: Bools | None = None

    def __post_init__(self) -> None:
        n = len(self.evidence)
        for name in ("hit", "fold", "patient", "image_id"):
            if len(getattr(self, name)) != n:
                raise ValueError(f"{n} images, but `{name}` has {len(getattr(self, name))} rows")

    def __len__(self) -> int:
        return len(self.evidence)

    @property
    def label(self) -> Bools:
        """Whether there is a pneumothorax."""
        return self.hit[:, 0] > 0 if self.unmasked is None else (self.hit[:, 0] > 0) | self.unmasked

    @property
    def has_mask(self) -> Bools:
        """Whether each image's mask is known; that of a negative is empty."""
        return np.ones(len(self), np.bool_) if self.unmasked is None else ~self.unmasked

    def with_masks(self) -> Cases:
        """The images whose mask is known: those that have a Dice."""
        return self if self.unmasked is None else replace(self.take(~self.unmasked), unmasked=None)

    def take(self, rows: Any) -> Cases:
        """Some of the images."""
        rest = {name: getattr(self, name)[rows] for name in ("hit", "fold", "patient", "image_id")}
        unmasked = None if self.unmasked is None else self.unmasked[rows]
        return Cases(evidence=self.evidence.take(rows), unmasked=unmasked, **rest)

    def with_prob(self, prob: Floats) -> Cases:
        """The same images under another probability."""
        return replace(self, evidence=self.evidence.with_prob(prob))

    @cached_property
    def dice(self) -> Floats:
        """Dice (N, 257) at every threshold; both empty 1, one empty 0."""
        return _dice(self.hit, self.evidence.above + self.hit[:, :1])

    @cached_property
    def units(self) -> Ints:
        """Dice (N, 257) at every threshold in whole units; column 256 is what an empty mask earns."""
        scaled = self.dice * UNIT
        return np.rint(scaled, out=scaled).astype(np.int64)

    def gain(self) -> Ints:
        """What submitting the mask at each threshold 0 … 255 gains over leaving it empty, in whole units (N, 256)."""
        return self.units[:, :NOTHING] - self.units[:, NOTHING:]

    def dice_at(self, level: Ints) -> Floats:
        """Dice (N,) when image i is cut at level[i] (256: left empty), without the table."""
        rows = np.arange(len(self))
        return _dice(self.hit[rows, level], self.evidence.above[rows, level] + self.hit[:, 0])

    def score(self, threshold: Ints) -> float:
        """Mean Dice when image i is cut at threshold[i] (256: left empty)."""
        return int(self.units[np.arange(len(self)), threshold].sum()) / UNIT / len(self)


def _dice(hit: Counts, total: Counts) -> Floats:
    """2 * hit / total, 1 where both are empty."""
    return np.divide(2 * hit, total, out=np.ones(hit.shape), where=total > 0)


def concatenate(parts: list[Cases]) -> Cases:
    """Several sets of images as one."""
    names = ("prob", "raw", "members", "above", "agreement")
    evidence = Evidence(
        **{name: np.concatenate([getattr(p.evidence, name) for p in parts]) for name in names}
    )
    rest = {
        name: np.concatenate([getattr(p, name) for p in parts])
        for name in ("hit", "fold", "patient", "image_id")
    }
    unmasked = (
        None if all(p.unmasked is None for p in parts) else np.concatenate([~p.has_mask for p in parts])
    )
    return Cases(evidence=evidence, unmasked=unmasked, **rest)
