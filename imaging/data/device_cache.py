"""Keep the prepared images in the GPU's memory: no reading and no copying while a network trains.

12,047 images of 512² are 3.2 GB. They are uploaded once, at the training size; batches equal those from the memory maps bit for
bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from imaging.data.augment_batch import Fused
from imaging.data.dataset import Batch, Images

AUTO, MOST = 0.25, 0.8
"""Shares of the device's free memory that data may take with `auto`, and with `yes`: the rest is for the network."""
CHUNK = 256
"""Images uploaded at a time."""


class Resident(Images):
    """The same images and masks as `images`, uint8 on `device`; batches are made there, so there can be no loader processes."""

    def __init__(self, images: Images, device: torch.device) -> None:
        super().__init__(images.prepared, images.rows, images.size, images.augment, images.seed, images.masks)
        self.device = device
        everything = np.arange(len(images))
        held = images.prepared.index["mask_row"].to_numpy(np.int64)[images.rows] >= 0
        self._images = _uploaded(images, everything, "image", device)
        self._masks = _uploaded(images, everything[held] if self.masks else everything[:0], "mask", device)
        # index in _masks of each image's mask; the last one is the empty mask
        self._place = torch.from_numpy(np.where(held, np.cumsum(held) - 1, held.sum())).to(device)

    def gather(self, places: NDArray[np.int64]) -> Batch:
        """See Images; on the device."""
        chosen = torch.from_numpy(places).to(self.device)
        found = {"image": self._images[chosen]}
        if self.masks:
            found["mask"] = self._masks[self._place[chosen]]
        return found


def place(
    images: Images, wish: bool | str, device: torch.device, free: int | None = None, workers: int = 0
) -> Images:
    """Upload the images to a GPU. `auto`: if possible; True: ValueError if it is not possible; False: never.

    free: free bytes of the GPU's memory; None: there is no GPU.
    """
    if wish is False:
        return images
    share = AUTO if wish == "auto" else MOST
    obstacle = (
        "there is no GPU here; use a machine with one"
        if free is None
        else _obstacle(images, workers) or _too_large(images, free, share)
    )
    if obstacle is None:
        return Resident(images, device)
    if wish == "auto":
        return images
    raise ValueError(f"data_on_device yes: {obstacle}, or set data_on_device to auto")


def planned(parts: Sequence[int], wish: bool | str, fused: bool, workers: int, memory: int) -> int:
    """Bytes that `place` will upload to an empty GPU of `memory` bytes.

    parts: bytes of the training and of the validation images, as from `size`. fused: whether the training images are augmented
    on the device or not at all; validation images are never augmented.
    """
    held = 0
    for number, part in enumerate(parts):
        possible = wish is not False and not workers and (fused or number > 0)
        if possible and part <= (AUTO if wish == "auto" else MOST) * (memory - held):
            held += part
    return held


def size(images: Images) -> int:
    """Bytes of the images and of the positives' masks at the training size."""
    masks = int((images.prepared.index["mask_row"].to_numpy()[images.rows] >= 0).sum()) if images.masks else 0
    return (len(images) + masks) * images.size**2


def on_device(images: Images) -> bool:
    """Whether the images are augmented on the device or not at all."""
    return images.augment is None or isinstance(images.augment, Fused)


def _obstacle(images: Images, workers: int) -> str | None:
    if workers:
        return f"loader processes cannot use the GPU's memory; set workers to 0 instead of {workers}"
    if not on_device(images):
        return "albumentations runs on the CPU; set augment.engine to fused"
    return None


def _too_large(images: Images, free: int, share: float) -> str | None:
    needed, gib = size(images) / 2**30, free / 2**30
    if needed <= share * gib:
        return None
    return f"{needed:.1f} GiB of images and a network do not fit into {gib:.1f} GiB of GPU memory; lower image_size"


def _uploaded(images: Images, places: NDArray[np.int64], kind: str, device: torch.device) -> torch.Tensor:
    """uint8 (n + 1, 1, s, s), with an empty one at the end."""
    held = torch.zeros((len(places) + 1, 1, images.size, images.size), dtype=torch.uint8, device=device)
    for start in range(0, len(places), CHUNK):
        part = images.gather(places[start : start + CHUNK])[kind]
        held[start : start + len(part)] = part.to(device)
    return held
