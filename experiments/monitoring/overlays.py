"""Pictures of the predicted outlines on a few fixed validation images, one for each validation."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from torch import Tensor, nn

from experiments.networks.normalisation import normalise
from imaging import outline
from imaging.data.dataset import Images
from imaging.plotting import OUTLINE, PREDICTED

Maps = Callable[[nn.Module, Tensor], Tensor | None]
"""From a network and normalised images (B, 1, s, s) to probabilities (B, h, w) of a finding; None without maps."""

SHARES = (0.25, 0.5, 0.75)
"""Quantiles of the lesions' area of the displayed positives; one negative image is displayed beside them."""
SIDE = 256  # four of them side by side: about 150 KB an epoch


def choose(images: Images) -> list[int]:
    """Positions of the displayed images, the same in every run on the same data."""
    label = np.asarray(images.labels)
    area = np.array(
        [
            images.prepared.mask(int(row)).sum() if one == 1 else 0
            for row, one in zip(images.rows, label, strict=True)
        ]
    )
    positive = np.flatnonzero(label == 1)
    ranked = positive[np.argsort(area[positive], kind="stable")]
    displayed = [int(ranked[int(share * (len(ranked) - 1))]) for share in SHARES] if len(ranked) else []
    return list(dict.fromkeys(displayed)) + np.flatnonzero(label == 0)[:1].tolist()


class Overlays(Callback):
    """Calls `show` at each validation with one picture (SIDE, n · SIDE, 3) of the true and predicted outlines and the epoch."""

    def __init__(self, images: Images, maps: Maps, show: Callable[[NDArray[np.uint8], int], None]) -> None:
        self.maps, self.show = maps, show
        items = [images[i] for i in choose(images)]
        self.pictures = torch.stack([item["image"] for item in items])
        self.truth = [item["mask"][0].numpy().astype(bool) for item in items]

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # At the start, since then averaged weights are in place where validation uses them.
        entering = normalise(self.pictures.to(pl_module.device), pl_module.net).contiguous(
            memory_format=torch.channels_last
        )
        prob = self.maps(pl_module.net, entering)  # type: ignore[arg-type]
        if prob is not None:
            self.show(self.row(prob.float().cpu().numpy()), trainer.current_epoch)

    def row(self, prob: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The images side by side with the outlines of the truth and of probabilities (n, h, w) of at least one half."""
        drawn = [
            _drawn(image[0].numpy(), true, predicted)
            for image, true, predicted in zip(self.pictures, self.truth, prob, strict=True)
        ]
        return np.concatenate(drawn, axis=1)


def _drawn(image: NDArray[np.uint8], true: NDArray[np.bool_], prob: NDArray[np.float32]) -> NDArray[np.uint8]:
    picture = cv2.resize(image, (SIDE, SIDE))
    large = cv2.resize(true.astype(np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST) > 0
    picture = outline.draw(np.asarray(picture, np.uint8), large, OUTLINE)
    return outline.draw(picture, cv2.resize(prob, (SIDE, SIDE)) >= 0.5, PREDICTED)
