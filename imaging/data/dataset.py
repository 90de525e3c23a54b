"""Prepared images as a torch data set whose randomness is a pure function of (seed, epoch, row).

So two epochs differ, two runs agree bit for bit, and neither the number of workers nor a resume changes
anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch.utils.data import Dataset

from imaging.data.augment_batch import Fused
from imaging.prepared import Prepared
from imaging.resize import resize_image, resize_mask

if TYPE_CHECKING:  # albumentations is needed for augmentation only
    from imaging.data.augment import Augment

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Sources:
    """The source of each image (N,) and the sources' sampling weights, where there are several sources."""

    names: NDArray[np.object_]
    weights: dict[str, float]


class Images(Dataset[dict[str, Any]]):
    """Items are {"image": uint8 (1, s, s), "mask": uint8 0/1 (1, s, s), "label": float32, "row": int64}, and, where the location
    of some findings is unknown, "located": float32 1 or 0 (0: the mask means nothing). Batches are the same with (B, …) and made
    as a whole by `__getitems__`: give `collate_fn=as_it_is` to a DataLoader.

    rows: which rows of `prepared`. size: side s of the items, at most the prepared one. augment: from
    `augment.build(settings, size)` or None; with a Fused one a batch also holds what was drawn, for `fused.apply`. masks: False
    leaves the masks out. label: 1 or 0, NaN for an unlabelled image.
    """

    def __init__(
        self,
        prepared: Prepared,
        rows: ArrayLike,
        size: int | None = None,
        augment: Augment | Fused | None = None,
        seed: int = 0,
        masks: bool = True,
    ) -> None:
        self.prepared = prepared
        self.rows: NDArray[np.int64] = np.asarray(rows, np.int64)
        self.size = size or prepared.size
        if self.size > prepared.size:
            raise ValueError(
                f"images of {self.size} px requested, but the data is prepared at {prepared.size} px:"
                " lower the size or raise data.image_size"
            )
        self.augment, self.seed, self.masks = augment, seed, masks
        self.labels: NDArray[np.float32] = prepared.index["label"].to_numpy(np.float32, na_value=np.nan)[
            self.rows
        ]
        located = prepared.is_located[self.rows] | ~np.isfinite(self.labels)
        self.located = None if located.all() or not masks else located.astype(np.float32)
        index = prepared.index.iloc[self.rows]
        self.sources: Sources | None = None
        if "source" in index:
            own = {
                str(name): float(weight) for name, weight in index.groupby("source")["weight"].first().items()
            }
            self.sources = Sources(index["source"].to_numpy(object), own)
        # In shared memory, since persistent workers have copied this object before the second epoch begins.
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[position] for position in range(len(self)))

    def set_epoch(self, epoch: int) -> None:
        """Set the next epoch, before its iterator is made; running workers see it too."""
        self._epoch[0] = epoch

    def __getitem__(self, position: int) -> Batch:
        return {key: value[0] for key, value in self.__getitems__([position]).items()}

    def __getitems__(self, positions: Sequence[int]) -> Batch:
        """The batch of these positions."""
        # a position past the end is the same image once more in this epoch: see EpochSampler
        turns, places = np.divmod(np.asarray(positions, np.int64), len(self))
        rows = self.rows[places]
        batch = {"label": torch.from_numpy(self.labels[places]), "row": torch.from_numpy(rows)}
        if self.located is not None:
            batch["located"] = torch.from_numpy(self.located[places])
        if self.augment is None:
            return batch | self.gather(places)
        seeds = [item_seed(self.seed, int(self._epoch), *pair) for pair in zip(rows, turns, strict=True)]
        if isinstance(self.augment, Fused):
            return batch | self.gather(places) | self.augment.draw(seeds)
        return batch | _changed(self.gather(places), self.augment, seeds)

    def gather(self, places: NDArray[np.int64]) -> Batch:
        """Copies of the images, and of the masks if wanted, not augmented: uint8 (B, 1, s, s)."""
        rows = self.rows[places]
        images = self.prepared.images[rows] if self._whole else self._resized(rows)
        found = {"image": torch.from_numpy(images)[:, None]}
        if self.masks:
            masks = self.prepared.masks(rows)
            small = masks if self._whole else np.stack([resize_mask(mask, self.size) for mask in masks])
            found["mask"] = torch.from_numpy(small)[:, None]
        return found

    @property
    def _whole(self) -> bool:
        return self.size == self.prepared.size

    def _resized(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        return np.stack([resize_image(self.prepared.images[row], self.size) for row in rows])


def as_it_is(batch: Any) -> Any:
    """For `DataLoader(collate_fn=…)`: Images gives whole batches."""
    return batch


def _changed(batch: Batch, augment: Augment, seeds: Sequence[int]) -> Batch:
    """Augment images and masks in place, each with its own seed."""
    masks = batch["mask"] if "mask" in batch else [None] * len(seeds)
    for image, mask, seed in zip(batch["image"], masks, seeds, strict=True):
        pixels, inside = augment(image[0].numpy(), None if mask is None else mask[0].numpy(), seed)
        image[0] = torch.from_numpy(pixels)
        if mask is not None:
            mask[0] = torch.from_numpy(inside)
    return batch


def item_seed(seed: int, epoch: int, row: int, turn: int = 0) -> int:
    """63 bits for one item of one epoch, shown for the turn-th time in it; neighbouring arguments give
    unrelated seeds (numpy's SeedSequence).
    """
    entropy = (seed, epoch, int(row), int(turn)) if turn else (seed, epoch, int(row))
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))


def worker_init(_worker: int) -> None:
    """For `DataLoader(worker_init_fn=…)`: OpenCV's own threads would compete for the cores with the other
    workers.
    """
    cv2.setNumThreads(1)
