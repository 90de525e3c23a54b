"""Which training images an epoch shows, and in which order: a pure function of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.utils.data import Sampler

from imaging.data.dataset import Images, Sources
from imaging.settings import SamplingSettings


def draw(
    labels: ArrayLike,
    settings: SamplingSettings,
    seed: int,
    epoch: int,
    epochs: int = 1,
    sources: Sources | None = None,
) -> NDArray[np.int64]:
    """Positions of one epoch of `epochs`, shuffled. labels (N,): 1, 0, NaN for unlabelled images, which are never shown.

    Images are drawn anew each epoch, without repetition; see `counts` for how many of each class. With several sources, each
    first contributes a share of each class: its weight relative to the largest weight.
    """
    labels = np.asarray(labels, np.float64)
    positive, negative = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    if sources is None and settings.sources:
        raise ValueError("sampling.sources has no effect without data.sources; remove it")
    if sources is not None:
        # a generator of its own: with all weights 1 the epochs are those of one source
        own = np.random.default_rng((seed, epoch, 1))
        positive, negative = (_weighted(pool, sources, settings, own) for pool in (positive, negative))
    if settings.scheme != "natural" and not len(positive):
        raise ValueError(
            f"sampling.scheme {settings.scheme!r} needs positive images, but none of these {len(labels)} is"
        )
    shown = counts(len(positive), len(negative), settings, epoch, epochs)
    rng = np.random.default_rng((seed, epoch))
    chosen = [
        pool if number == len(pool) else rng.permutation(pool)[:number]
        for pool, number in zip((positive, negative), shown, strict=True)
    ]
    return rng.permutation(np.concatenate(chosen))


def _weighted(
    pool: NDArray[np.int64], sources: Sources, settings: SamplingSettings, rng: np.random.Generator
) -> NDArray[np.int64]:
    """The share weight / largest weight of each source's positions in `pool`, sorted; all of them for the largest weight."""
    weights = sources.weights | settings.sources
    if unknown := sorted(settings.sources.keys() - sources.weights.keys()):
        raise ValueError(
            f"sampling.sources: no source {', '.join(unknown)}; data.sources has {', '.join(sorted(sources.weights))}"
        )
    largest = max(weights.values())
    if largest <= 0:
        raise ValueError("the weights of all sources are 0; raise one in sampling.sources")
    kept = []
    for name in sorted(sources.weights):
        own = pool[sources.names[pool] == name]
        kept.append(rng.permutation(own)[: round(weights[name] / largest * len(own))])
    return np.sort(np.concatenate(kept))


def by_source(
    order: NDArray[np.int64], names: NDArray[np.object_], batch: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """The order (M,) rearranged so that each batch is from one source; names (M,): the source of each position.

    Full batches of all sources come first, shuffled; the last ones hold the rest of each source, less than a batch each.
    """
    whole, rest = [], []
    for name in sorted(set(names)):
        own = order[names == name]
        full = len(own) // batch * batch
        whole += list(own[:full].reshape(-1, batch))
        rest.append(own[full:])
    return np.concatenate([*(whole[place] for place in rng.permutation(len(whole))), *rest])


def counts(
    positives: int, negatives: int, settings: SamplingSettings, epoch: int, epochs: int
) -> tuple[int, int]:
    """How many positive and negative images epoch `epoch` of `epochs` shows."""
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
    """All epochs have the length at which the largest share shows every positive exactly once."""
    first, last = settings.positive_share, settings.last_share or settings.positive_share
    length = min(round(positives / max(first, last)), int(negatives / (1 - min(first, last))))
    shown = round(length * (first + (last - first) * done))
    return min(positives, shown), min(negatives, length - shown)


@dataclass(frozen=True)
class Share:
    """One process's share of the data in distributed training; a single process has everything."""

    rank: int = 0
    ranks: int = 1

    def of_batches(self, order: NDArray[np.int64], batch: int) -> NDArray[np.int64]:
        """Its equal part of every whole batch of `batch` positions, in their order; an incomplete last batch is dropped."""
        whole = len(order) // batch * batch
        return order[:whole].reshape(-1, self.ranks, batch // self.ranks)[:, self.rank].ravel()

    def of_all(self, number: int) -> NDArray[np.int64]:
        """Its positions of `number` images, dealt out in turn. All processes get equally many: where the number is not a
        multiple of theirs, some of the first images are repeated; `in_order` drops the repeats."""
        places = np.arange(-(-number // self.ranks) * self.ranks) % number
        return places[self.rank :: self.ranks]

    @staticmethod
    def in_order(parts: Tensor, number: int) -> Tensor:
        """Results of all ranks, (ranks, n, K) in the order of `of_all`, as (number, K), each image once and in its place."""
        return parts.transpose(0, 1).flatten(0, 1)[:number]


class EpochSampler(Sampler[int]):
    """The order of a training epoch of `dataset`; `set_epoch` also sets the data set's epoch, so that one call is
    enough.

    Call it before the epoch's iterator is made; Lightning does for all epochs but the first one after a
    resume. epochs: how many there will be. length: images per epoch, however many there are: passes are repeated until the
    length is reached; None: one pass. batch: with several processes, the images per step of all of them, of which this one
    draws its share.
    """

    def __init__(
        self,
        dataset: Images,
        settings: SamplingSettings,
        seed: int = 0,
        epochs: int = 1,
        length: int | None = None,
        share: Share | None = None,
        batch: int = 1,
    ) -> None:
        self.dataset, self.settings, self.seed, self.epochs = dataset, settings, seed, epochs
        self.epoch = 0
        self._pass = len(draw(dataset.labels, settings, seed, 0, epochs, dataset.sources))
        self._length = self._pass if length is None else length
        self.share, self.batch = share or Share(), batch
        if self.share.ranks > 1 and self._length < batch:
            raise ValueError(
                f"{self._length} images per epoch do not fill one batch of {batch} across {self.share.ranks} processes; "
                "lower batch_size, or set devices and nodes to 1"
            )

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration, for the order and for the augmentation."""
        self.epoch = epoch
        self.dataset.set_epoch(epoch)

    def __iter__(self) -> Iterator[int]:
        labels, passes = self.dataset.labels, -(-self._length // self._pass)
        order = [
            # a later turn lies past the end of the data set, which augments it with other random numbers
            turn * len(labels) + self._drawn(self.epoch * passes + turn, self.epochs * passes)
            for turn in range(passes)
        ]
        whole = np.concatenate(order)[: self._length]
        return iter((whole if self.share.ranks == 1 else self.share.of_batches(whole, self.batch)).tolist())

    def _drawn(self, epoch: int, epochs: int) -> NDArray[np.int64]:
        sources = self.dataset.sources
        order = draw(self.dataset.labels, self.settings, self.seed, epoch, epochs, sources)
        if sources is None or self.settings.batches == "mixed":
            return order
        return by_source(
            order, sources.names[order], self.batch, np.random.default_rng((self.seed, epoch, 2))
        )

    def __len__(self) -> int:
        if self.share.ranks == 1:
            return self._length
        return self._length // self.batch * self.batch // self.share.ranks
