"""Prepared images as a torch data set whose randomness is a pure function of (seed, epoch, row).

So two epochs differ, two runs agree bit for bit, and neither the number of workers nor a resume changes
anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch.utils.data import Dataset

from imaging.augment import Augment
from imaging.prepared import Prepared
from imaging.resize import resize_image, resize_mask


class Images(Dataset[dict[str, Any]]):
    """Items are {"image": uint8 (1, s, s), "mask": uint8 0/1 (1, s, s), "label": float32, "row": int}.

    rows: which rows of `prepared`. size: side s of the items, at most the prepared one. augment: from
    `augment.build(settings, size)` or None. masks: leave the mask out when False. label: 1 or 0, NaN for an
    unlabelled image.
    """

    def __init__(
        self,
        prepared: Prepared,
        rows: ArrayLike,
        size: int | None = None,
        augment: Augment | None = None,
        seed: int = 0,
        masks: bool = True,
    ) -> None:
        self.prepared = prepared
        self.rows: NDArray[np.int64] = np.asarray(rows, np.int64)
        self.size = size or prepared.size
        if self.size > prepared.size:
            raise ValueError(
                f"images of {self.size} px asked for, prepared with {prepared.size}:"
                " lower the size or raise data.image_size"
            )
        self.augment, self.seed, self.masks = augment, seed, masks
        self.labels: NDArray[np.float32] = prepared.index["label"].to_numpy(np.float32, na_value=np.nan)[
            self.rows
        ]
        # In shared memory, since workers that persist have copied this object before the second epoch begins.
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[position] for position in range(len(self)))

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes, before its iterator is made; living workers see it too."""
        self._epoch[0] = epoch

    def __getitem__(self, position: int) -> dict[str, Any]:
        # a position past the end is the same image once more in this epoch: see EpochSampler
        turn, position = divmod(position, len(self))
        row = int(self.rows[position])
        image = resize_image(self.prepared.images[row], self.size)
        mask = resize_mask(self.prepared.mask(row), self.size) if self.masks else None
        if self.augment is not None:
            image, mask = self.augment(image, mask, item_seed(self.seed, int(self._epoch), row, turn))
        item: dict[str, Any] = {"image": _tensor(image), "label": self.labels[position], "row": row}
        return item if mask is None else {**item, "mask": _tensor(mask)}


def item_seed(seed: int, epoch: int, row: int, turn: int = 0) -> int:
    """63 bits for one item of one epoch, shown for the turn-th time in it; neighbours in any of them get
    unrelated ones (numpy's SeedSequence).
    """
    entropy = (seed, epoch, row, turn) if turn else (seed, epoch, row)
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))


def worker_init(_worker: int) -> None:
    """For `DataLoader(worker_init_fn=…)`: OpenCV's own threads would fight over the cores with the other
    workers.
    """
    cv2.setNumThreads(1)


def _tensor(array: NDArray[np.uint8]) -> torch.Tensor:
    """(s, s) to (1, s, s), copied, since a row of a read-only map must not be written through a tensor."""
    return torch.from_numpy(np.array(array, dtype=np.uint8, order="C")[None])
