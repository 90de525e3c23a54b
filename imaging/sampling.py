"""Which training images an epoch shows, and in which order: a pure function of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch.utils.data import Sampler

from imaging.dataset import Images
from imaging.settings import SamplingSettings


def draw(labels: ArrayLike, settings: SamplingSettings, seed: int, epoch: int) -> NDArray[np.int64]:
    """Positions of one epoch, shuffled. labels (N,): 1, 0, NaN for unlabelled ones, which are never shown.

    'natural' shows every labelled image; 'positives' the positives; 'balanced' all positives and so many
    negatives, drawn afresh without repetition, that `positive_share` is reached, or all negatives where they
    are fewer.
    """
    labels = np.asarray(labels, np.float64)
    positive, negative = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    if settings.scheme != "natural" and not len(positive):
        raise ValueError(
            f"sampling.scheme {settings.scheme!r} needs positive images, these {len(labels)} have none"
        )
    rng = np.random.default_rng((seed, epoch))
    if settings.scheme == "positives":
        negative = negative[:0]
    elif settings.scheme == "balanced":
        share = settings.positive_share
        wanted = round(len(positive) * (1 - share) / share)
        negative = rng.permutation(negative)[:wanted]
    return rng.permutation(np.concatenate([positive, negative]))


class EpochSampler(Sampler[int]):
    """The order of a training epoch of `dataset`; `set_epoch` tells the data set too, so that one call is
    enough.

    Call it before the epoch's iterator is made; Lightning does for all epochs but the first one after a
    resume.
    """

    def __init__(self, dataset: Images, settings: SamplingSettings, seed: int = 0) -> None:
        self.dataset, self.settings, self.seed = dataset, settings, seed
        self.epoch = 0
        self._length = len(draw(dataset.labels, settings, seed, 0))

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration, for the order and for the augmentation."""
        self.epoch = epoch
        self.dataset.set_epoch(epoch)

    def __iter__(self) -> Iterator[int]:
        return iter(draw(self.dataset.labels, self.settings, self.seed, self.epoch).tolist())

    def __len__(self) -> int:
        return self._length
