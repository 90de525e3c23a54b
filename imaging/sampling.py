"""Which training images an epoch shows, and in which order: a pure function of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch.utils.data import Sampler

from imaging.dataset import Images
from imaging.settings import SamplingSettings


def draw(
    labels: ArrayLike, settings: SamplingSettings, seed: int, epoch: int, epochs: int = 1
) -> NDArray[np.int64]:
    """Positions of one epoch of `epochs`, shuffled. labels (N,): 1, 0, NaN for unlabelled ones, never shown.

    What is left out is drawn afresh each epoch and without repetition; see `counts` for how many of each class.
    """
    labels = np.asarray(labels, np.float64)
    positive, negative = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    if settings.scheme != "natural" and not len(positive):
        raise ValueError(
            f"sampling.scheme {settings.scheme!r} needs positive images, these {len(labels)} have none"
        )
    shown = counts(len(positive), len(negative), settings, epoch, epochs)
    rng = np.random.default_rng((seed, epoch))
    chosen = [
        pool if number == len(pool) else rng.permutation(pool)[:number]
        for pool, number in zip((positive, negative), shown, strict=True)
    ]
    return rng.permutation(np.concatenate(chosen))


def counts(
    positives: int, negatives: int, settings: SamplingSettings, epoch: int, epochs: int
) -> tuple[int, int]:
    """How many positive and negative images epoch `epoch` of `epochs` shows, of those there are."""
    share = settings.positive_share
    if settings.scheme == "positives":
        return positives, 0
    if settings.scheme == "balanced":
        return positives, min(negatives, round(positives * (1 - share) / share))
    if settings.scheme == "bounded":
        most = settings.difference
        return min(positives, negatives + most), min(negatives, positives + most)
    if settings.scheme == "sliding":
        return _sliding(positives, negatives, settings, epoch / max(1, epochs - 1))
    return positives, negatives


def _sliding(positives: int, negatives: int, settings: SamplingSettings, done: float) -> tuple[int, int]:
    """All epochs are of one length, the one at which the largest share shows every positive and none twice."""
    first, last = settings.positive_share, settings.last_share or settings.positive_share
    length = min(round(positives / max(first, last)), int(negatives / (1 - min(first, last))))
    shown = round(length * (first + (last - first) * done))
    return min(positives, shown), min(negatives, length - shown)


class EpochSampler(Sampler[int]):
    """The order of a training epoch of `dataset`; `set_epoch` tells the data set too, so that one call is
    enough.

    Call it before the epoch's iterator is made; Lightning does for all epochs but the first one after a
    resume. epochs: how many there will be. length: images an epoch, whatever the number there is: passes follow one another
    until there are so many; None: one pass.
    """

    def __init__(
        self,
        dataset: Images,
        settings: SamplingSettings,
        seed: int = 0,
        epochs: int = 1,
        length: int | None = None,
    ) -> None:
        self.dataset, self.settings, self.seed, self.epochs = dataset, settings, seed, epochs
        self.epoch = 0
        self._pass = len(draw(dataset.labels, settings, seed, 0, epochs))
        self._length = self._pass if length is None else length

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration, for the order and for the augmentation."""
        self.epoch = epoch
        self.dataset.set_epoch(epoch)

    def __iter__(self) -> Iterator[int]:
        labels, passes = self.dataset.labels, -(-self._length // self._pass)
        order = [
            # a later turn lies past the end of the data set, which so knows that it is to be changed afresh
            turn * len(labels)
            + draw(labels, self.settings, self.seed, self.epoch * passes + turn, self.epochs * passes)
            for turn in range(passes)
        ]
        return iter(np.concatenate(order)[: self._length].tolist())

    def __len__(self) -> int:
        return self._length
